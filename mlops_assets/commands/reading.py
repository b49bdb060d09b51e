"""What each command that tells something does: call one part of the product, print what it returns."""

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from mlops_assets.settings import Settings


def status(options: argparse.Namespace, settings: Settings) -> int:
    """Print how the products are."""
    from mlops_assets.operations.status import status, status_lines

    body = status(settings, options.product)
    show(options, body, status_lines(body))
    return 0


def predictions(options: argparse.Namespace, settings: Settings) -> int:
    """Print a product's newest predictions."""
    from mlops_assets.lineage.predictions import recent, recent_lines

    rows = recent(settings, options.product, last=options.last, since=options.since)
    show(options, rows, recent_lines(rows))
    return 0


def trace(options: argparse.Namespace, settings: Settings) -> int:
    """Print a proof; the exit code is its verdict."""
    from mlops_assets.lineage.proof import trace_lines
    from mlops_assets.lineage.trace import trace
    from mlops_assets.parts import duration_seconds

    proof = trace(settings, options.ref, budget_s=None if options.verify else duration_seconds(options.budget))
    show(options, proof.as_json(), trace_lines(proof))
    return proof.exit_code


def replay(options: argparse.Namespace, settings: Settings) -> int:
    """Make a prediction or a model again from its record; the exit code says whether it is equal."""
    from mlops_assets.lineage.replay import replay, replay_lines

    found = replay(settings, options.ref)
    show(options, found, replay_lines(found))
    return found.exit_code


def why(options: argparse.Namespace, settings: Settings) -> int:
    """Print a product's retraining decisions, and the drifts behind them."""
    from mlops_assets.operations.why import why, why_lines

    found = why(settings, options.product, since=options.since)
    show(options, found, why_lines(found))
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
    show(options, found.tables, found.lines)
    return 0


def alerts(options: argparse.Namespace, settings: Settings) -> int:
    """Print the open alerts, or try the destinations; 1 if one of them does not accept the test."""
    from mlops_assets.alerting.notifier import AppriseNotifier
    from mlops_assets.alerting.shown import shown, shown_lines, tried, tried_lines
    from mlops_assets.catalogue import read_catalogue

    notifier = AppriseNotifier(settings.alerts)
    if options.test:
        answers = tried(notifier)
        show(options, answers, tried_lines(answers))
        return 1 if any(each.problem for each in answers) else 0
    product = read_catalogue(settings.defs).product(options.product).name if options.product else None
    found = shown(settings, notifier.names, product, datetime.now(UTC))
    show(options, found, shown_lines(found))
    return 0


def costs(options: argparse.Namespace, settings: Settings) -> int:
    """Print what products cost."""
    from mlops_assets.costs.shown import costs_lines
    from mlops_assets.operations.costs import all_costs

    found = all_costs(settings, options.product, options.since)
    show(options, found, costs_lines(found))
    return 0


def show(options: argparse.Namespace, body: object, lines: Sequence[str]) -> None:
    """Print what a command found, as JSON or in lines."""
    print(json.dumps(msgspec.to_builtins(body), indent=2) if options.json else "\n".join(lines))
