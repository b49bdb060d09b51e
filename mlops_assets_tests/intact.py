"""What must hold of a deployment's evidence whenever it is looked at, whatever was killed before."""

from collections.abc import Mapping

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.chain import Chain
from mlops_assets.product import DATA, ModelProduct, Stage
from mlops_assets.serving.routing.deploy import read_deployment
from mlops_assets.settings import Settings
from mlops_assets.training.tracking import MlflowTracker


def assert_intact(settings: Settings, product: ModelProduct) -> None:
    """Every chain, head, record, envelope and stored file verifies, and no version was registered twice."""
    archive = Archive(settings.home)
    archive.ledger.chain.reread()
    for chain in settings.home.glob("decisions/*.jsonl"):
        Chain(chain).reread()
    journal = {(link.body["record"], link.body["envelope"]) for link in archive.journal.reread()}
    known = {record for record, _ in journal}
    for path in settings.home.glob("heads/*/*/[!.]*"):
        held = archive.held(path.read_text())
        for file in held.envelope.files:
            archive.store.get_bytes(file)
        assert held.id in known, f"{path} is not in the journal"
    for path in settings.home.glob("recipes/*/[!.]*"):
        archive.held(path.read_text())
    registered = archive.ledger.acts(product.name, "register")
    assert len({act.version for act in registered}) == len({act.record for act in registered}) == len(registered)


def assert_finished(settings: Settings, product: ModelProduct) -> None:
    """Intact, and everybody agrees: ledger, MLflow and the deployment on versions, champions and records."""
    assert_intact(settings, product)
    archive, tracker = Archive(settings.home), MlflowTracker(settings.mlflow_uri)
    found = tracker.client.search_model_versions(f"name='{product.name}'")
    shown = {int(each.version): each.tags["record"] for each in found}
    assert shown == {act.version: act.record for act in archive.ledger.acts(product.name, "register")}
    runs = tracker.client.search_runs([tracker.experiment(product.name)])
    status = {run.info.run_id: run.info.status for run in runs}
    assert {status[each.run_id] for each in found} <= {"FINISHED"}, status
    assert "RUNNING" not in status.values(), status
    deployed = read_deployment(settings.serving(product.name))
    assert deployed is not None
    for segment in product.segments:
        champion = archive.ledger.champion(product.name, segment)
        assert champion is not None
        route = deployed.routes[segment]
        assert (route.version, route.record) == (champion.version, champion.record)
        assert tracker.champion(product.name, segment) == champion.version


def outcome(settings: Settings, product: ModelProduct) -> Mapping[str, str]:
    """Return the content root of every partition of data and models."""
    archive = Archive(settings.home)
    stages = (*DATA, Stage.MODEL)
    heads = {stage: archive.heads(product.name, stage) for stage in stages}
    return {f"{s} {p}": archive.held(record).record.root for s in stages for p, record in heads[s].items()}
