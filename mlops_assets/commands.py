"""What each command does: call one part of the product and print what it returns. Each returns an exit code."""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from mlops_assets.settings import Settings, load_settings


def init(options: argparse.Namespace, settings: Settings) -> int:
    """Write a product's declaration and show it."""
    from mlops_assets.scaffold import write_declaration

    written = write_declaration(
        name=options.name,
        file=options.file,
        label=options.label,
        time=options.time,
        key=options.key,
        segment=options.segment,
        defs_dir=settings.defs,
        project_root=settings.root,
    )
    print(f"{written}\n\n{written.read_text()}\nnext: mlops-assets backfill {options.name}")
    return 0


def sample(options: argparse.Namespace, settings: Settings) -> int:
    """Write a sample file."""
    from mlops_assets.samples import write_sample

    write_sample(options.file, rows=options.rows)
    print(f"{options.file}: {options.rows:,} half-hours, label `price_up`, time `interval_start`")
    return 0


def validate(options: argparse.Namespace, settings: Settings) -> int:
    """Print what is wrong with the declarations; 1 if anything is."""
    from mlops_assets.operations.status import validate

    problems = validate(settings)
    print("\n".join(problems) or "every declaration is right", file=sys.stderr if problems else sys.stdout)
    return 1 if problems else 0


def env(options: argparse.Namespace, settings: Settings) -> int:
    """Print the environment for Dagster's own commands, as a shell reads it."""
    from mlops_assets.loop import dagster_home
    from mlops_assets.settings import exports

    dagster_home(settings)
    print("\n".join(f"export {name}={shlex.quote(value)}" for name, value in exports(settings).items()))
    return 0


def demo(options: argparse.Namespace, settings: Settings) -> int:
    """Run the demo; without `--home` it has a home of its own."""
    from mlops_assets.operations.demo import demo

    return demo(settings if options.home else load_settings(home=settings.home / "demo"))


def up(options: argparse.Namespace, settings: Settings) -> int:
    """Run UI, daemon and endpoints until they are stopped."""
    from mlops_assets.operations.up import up

    return up(settings, port=options.port, endpoint_port=options.endpoint_port, clock=options.clock)


def serve(options: argparse.Namespace, settings: Settings) -> int:
    """Run one product's endpoint until it is stopped."""
    from mlops_assets.catalogue import read_catalogue
    from mlops_assets.serving.server import serve

    product = read_catalogue(settings.defs).product(options.product)
    return serve(product, settings, host=options.host, port=options.port, clock=options.clock)


def backfill(options: argparse.Namespace, settings: Settings) -> int:
    """Make what is missing, failed or stale."""
    from mlops_assets.operations.backfill import backfill

    return backfill(
        settings,
        options.product,
        stage=options.stage,
        windows=options.windows,
        segments=options.segments,
        dry_run=options.dry_run,
    )


def status(options: argparse.Namespace, settings: Settings) -> int:
    """Print how the products are."""
    from mlops_assets.operations.status import status, status_lines

    body = status(settings, options.product)
    _print(options, body, status_lines(body))
    return 0


def predictions(options: argparse.Namespace, settings: Settings) -> int:
    """Print a product's newest predictions."""
    from mlops_assets.lineage.predictions import recent, recent_lines

    rows = recent(settings, options.product, last=options.last, since=options.since)
    _print(options, rows, recent_lines(rows))
    return 0


def trace(options: argparse.Namespace, settings: Settings) -> int:
    """Print a proof; the exit code is its verdict."""
    from mlops_assets.lineage.proof import trace_lines
    from mlops_assets.lineage.trace import trace
    from mlops_assets.parts import duration_seconds

    proof = trace(settings, options.ref, budget_s=None if options.verify else duration_seconds(options.budget))
    _print(options, proof.as_json(), trace_lines(proof))
    return proof.exit_code


def replay(options: argparse.Namespace, settings: Settings) -> int:
    """Make a prediction or a model again from its record; the exit code says whether it is equal."""
    from mlops_assets.lineage.replay import replay, replay_lines

    found = replay(settings, options.ref)
    _print(options, found, replay_lines(found))
    return found.exit_code


def why(options: argparse.Namespace, settings: Settings) -> int:
    """Print a product's retraining decisions, and the drifts behind them."""
    from mlops_assets.operations.why import why, why_lines

    found = why(settings, options.product, since=options.since)
    _print(options, found, why_lines(found))
    return 0


def page(options: argparse.Namespace, settings: Settings) -> int:
    """Write a window's page and print where it is."""
    import webbrowser

    from mlops_assets.catalogue import read_catalogue
    from mlops_assets.evidence.archive import Archive
    from mlops_assets.monitoring.page_read import asked_for, write_page

    product = read_catalogue(settings.defs).product(options.product)
    partition = asked_for(product, options.window, options.segment)
    written = write_page(settings, Archive(settings.home), product, partition)
    print(written)
    if options.open:
        webbrowser.open(written.as_uri())
    return 0


def backtest(options: argparse.Namespace, settings: Settings) -> int:
    """Replay the history of a product under each policy of retraining, and print what it was worth."""
    from mlops_assets.operations.backtests import backtests

    found = backtests(
        settings,
        options.product,
        segment=options.segment,
        out=options.out,
        jobs=options.jobs,
        quiet=options.json,
    )
    _print(options, found.tables, found.lines)
    return 0


def alerts(options: argparse.Namespace, settings: Settings) -> int:
    """Print the open alerts, or try the destinations; 1 if one of them does not accept the test."""
    from mlops_assets.alerting.notifier import AppriseNotifier
    from mlops_assets.alerting.shown import shown, shown_lines, tried, tried_lines
    from mlops_assets.catalogue import read_catalogue

    notifier = AppriseNotifier(settings.alerts)
    if options.test:
        answers = tried(notifier)
        _print(options, answers, tried_lines(answers))
        return 1 if any(each.problem for each in answers) else 0
    product = read_catalogue(settings.defs).product(options.product).name if options.product else None
    found = shown(settings, notifier.names, product, datetime.now(UTC))
    _print(options, found, shown_lines(found))
    return 0


def costs(options: argparse.Namespace, settings: Settings) -> int:
    """Print what products cost."""
    from mlops_assets.costs.shown import costs_lines
    from mlops_assets.operations.costs import all_costs

    found = all_costs(settings, options.product, options.since)
    _print(options, found, costs_lines(found))
    return 0


def pause(options: argparse.Namespace, settings: Settings) -> int:
    """Pause a product."""
    from mlops_assets.operations.acts import hold

    print(hold(settings, options.product, kind="pause", reason=options.reason))
    return 0


def resume(options: argparse.Namespace, settings: Settings) -> int:
    """End a product's pause."""
    from mlops_assets.operations.acts import hold

    print(hold(settings, options.product, kind="resume", reason=options.reason))
    return 0


def retrain(options: argparse.Namespace, settings: Settings) -> int:
    """Ask for a training."""
    from mlops_assets.operations.asks import ask

    key = options.key or settings.key
    print(ask(settings, options.product, segment=options.segment, reason=options.reason, key=key))
    return 0


def dismiss(options: argparse.Namespace, settings: Settings) -> int:
    """Close open alarms."""
    from mlops_assets.operations.asks import dismiss

    chosen = {"alarm": options.alarm, "segment": options.segment, "window": options.window}
    for line in dismiss(settings, options.product, **chosen, reason=options.reason):
        print(line)
    return 0


def roll_back(options: argparse.Namespace, settings: Settings) -> int:
    """Serve an earlier champion again."""
    from mlops_assets.operations.acts import roll_back

    for line in roll_back(settings, options.product, to=options.to, segment=options.segment, reason=options.reason):
        print(line)
    return 0


def _print(options: argparse.Namespace, body: object, lines: Sequence[str]) -> None:
    print(json.dumps(msgspec.to_builtins(body), indent=2) if options.json else "\n".join(lines))
