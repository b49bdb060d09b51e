"""A prediction computed, or a model trained, again from its record alone: equal to the last bit, or what differs."""

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.records import Struct
from mlops_assets.lineage.recomputed import recomputed
from mlops_assets.lineage.retrained import CannotReplay, retrained
from mlops_assets.lineage.trace import resolve
from mlops_assets.product import Stage
from mlops_assets.settings import Settings


class Replay(Struct, frozen=True, kw_only=True):
    """What became of a replay of the model in `record`, or of its answer: what is the same, and what differs."""

    ref: str
    kind: str
    record: str
    equal: bool
    same: list[str]
    differs: list[str]

    @property
    def exit_code(self) -> int:
        """0 if everything is equal, 3 if not."""
        return 0 if self.equal else 3


def replay(settings: Settings, ref: str) -> Replay:
    """Return how a prediction or a model that is made again from its record compares with what was recorded.

    Raises:
        LookupError: If there is nothing of that name.
        CannotReplay: If it can only be made again elsewhere, as with other code; or if `ref` is neither of the two.
        BrokenEvidence: If what it would be made from is missing or changed.
    """
    archive = Archive(settings.home)
    kind, roots, found = resolve(settings, archive, ref)
    model = archive.held(roots[-1])
    if model.record.place.stage != Stage.MODEL:
        raise CannotReplay(f"{model.record.place} is no model; only models and predictions are replayed")
    compared = retrained(archive, model) if found is None else recomputed(settings, archive, found, model)
    return Replay(
        ref=ref,
        kind="model" if found is None else kind,
        record=model.id,
        equal=not compared.differs,
        same=compared.same,
        differs=compared.differs,
    )


def replay_lines(found: Replay) -> list[str]:
    """Return a replay for people."""
    what = "trained" if found.kind == "model" else "computed"
    verdict = "equal to the last bit" if found.equal else "not equal"
    head = f"{found.ref}: {what} again from record {found.record[:12]}…: {verdict}"
    return [head, *(f"  ✓ {each}" for each in found.same), *(f"  ✗ {each}" for each in found.differs)]
