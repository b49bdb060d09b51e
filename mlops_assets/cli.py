"""The command line. Exit codes are its contract: 0 done, 1 failed, 2 partly or usage, 3 broken, 4 unknown."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from mlops_assets.commands import acting, candidates, letting, reading, running, scoring, trying
from mlops_assets.evidence.ledger import Conflict
from mlops_assets.evidence.records import BrokenEvidence
from mlops_assets.evidence.step import NotReady
from mlops_assets.settings import Settings, load_settings

Command = Callable[[argparse.Namespace, Settings], int]
KEY = "your private key (default: MLOPS_ASSETS_KEY); without one the act is only asserted"


class Parsers(Protocol):
    """Where commands are added: what `add_subparsers` returns."""

    def add_parser(self, name: str, *, help: str, description: str) -> argparse.ArgumentParser:
        """Return the parser of a new command."""
        ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = command_parser().parse_args(arguments)
    settings = load_settings(home=options.home)
    command: Command = options.command
    try:
        return command(options, settings)
    except BrokenEvidence as problem:
        print(f"broken: {problem}", file=sys.stderr)
        return 3
    except LookupError as problem:
        print(f"error: {problem.args[0] if problem.args else problem}", file=sys.stderr)
        return 4
    except BrokenPipeError:  # the reader, such as `head`, has gone; nothing else may be printed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (NotReady, Conflict, ValueError, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; what runs one is in `command` of what it parses."""
    parser = argparse.ArgumentParser(prog="mlops-assets", description="A model product's whole production life.")
    parser.add_argument(
        "--home", type=Path, help="where evidence and state live (default: .mlops_assets, or MLOPS_ASSETS_HOME)"
    )
    parsers = parser.add_subparsers(required=True, metavar="COMMAND")
    _making(parsers)
    _running(parsers)
    _reading(parsers)
    _pages(parsers)
    _backtests(parsers)
    _alerts(parsers)
    _acting(parsers)
    _answering(parsers)
    return parser


def _making(parsers: Parsers) -> None:
    init = _command(parsers, "init", running.init, "write a declaration from a CSV or Parquet file")
    init.add_argument("name")
    init.add_argument("file", type=Path)
    init.add_argument("--label", required=True, help="the column to predict")
    for role in ("time", "key", "segment"):
        init.add_argument(f"--{role}", help=f"the {role} column, if there is one")
    sample = _command(parsers, "sample", running.sample, "write a sample file to try `init` with")
    sample.add_argument("file", type=Path)
    sample.add_argument("--rows", type=int, default=20_000)
    _command(parsers, "validate", running.validate, "check every declaration against its source")
    _command(
        parsers, "env", running.env, 'print the environment for Dagster\'s own commands: eval "$(mlops-assets env)"'
    )


def _running(parsers: Parsers) -> None:
    _command(parsers, "demo", running.demo, "the whole loop on simulated loan applications, in under three minutes")
    up = _command(parsers, "up", running.up, "Dagster's UI and daemon, and the endpoints, until Ctrl-C")
    up.add_argument("--port", type=int, default=3000, help="port of the UI; endpoints follow from --endpoint-port")
    up.add_argument("--endpoint-port", type=int, default=8000)
    up.add_argument("--clock", choices=("server", "replay"), default="server")
    serve = _command(parsers, "serve", running.serve, "the endpoint of one product")
    serve.add_argument("product")
    serve.add_argument("--host", default="127.0.0.1", help="0.0.0.0 answers to other machines too")
    serve.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    serve.add_argument("--clock", choices=("server", "replay"), default="server")
    said = "lines on stderr: of events, or of each request too (default: events)"
    serve.add_argument("--log", choices=("events", "requests"), default="events", help=said)
    said = "how long it answers on, not ready, after a signal to stop, such as 5s (default: 0s)"
    serve.add_argument("--linger", default="0s", metavar="TIME", help=said)
    scoring.arguments(_command(parsers, "score", scoring.score, "score a file of rows now, and log it", reads=True))
    backfill = _command(parsers, "backfill", running.backfill, "make what is missing, failed or stale, in order, here")
    backfill.add_argument("product")
    backfill.add_argument(
        "--stage",
        choices=("annotations", "dataset", "features", "model", "scores"),
        help="up to this stage; `model` trains every window, `scores` scores the table's",
    )
    backfill.add_argument("--windows", help="A...B: from window A up to and with B")
    backfill.add_argument("--segments", help="a,b: only these")
    backfill.add_argument("--dry-run", action="store_true", help="list what would be made, and why")


def _reading(parsers: Parsers) -> None:
    status = _command(parsers, "status", reading.status, "live versions, health, drift, data age, next act", reads=True)
    status.add_argument("product", nargs="?")
    predictions = _command(parsers, "predictions", reading.predictions, "recent inference ids", reads=True)
    predictions.add_argument("product")
    predictions.add_argument("--last", type=int, default=20)
    predictions.add_argument("--since", help="ISO time")
    trace = _command(
        parsers, "trace", reading.trace, "the proof for an inference id, product@version, record or asset", reads=True
    )
    trace.add_argument("ref")
    trace.add_argument("--budget", default="2s", help="time to spend on re-hashing tables")
    trace.add_argument("--verify", action="store_true", help="re-hash everything")
    replay = _command(
        parsers, "replay", reading.replay, "make a prediction or model again from its record, and compare", reads=True
    )
    replay.add_argument("ref", help="an inference id, product@version, or a model's record")
    why = _command(parsers, "why", reading.why, "the stored retraining decisions, and the drifts", reads=True)
    why.add_argument("product")
    why.add_argument("--since", help="ISO time of the product's clock")
    costs = _command(parsers, "costs", reading.costs, "what products cost, by stage, model, retraining", reads=True)
    costs.add_argument("product", nargs="?")
    costs.add_argument("--since", help="ISO time; only what was made later (default: ever)")


def _pages(parsers: Parsers) -> None:
    page = _command(parsers, "page", reading.page, "write a monitoring window's page, one HTML file, from its records")
    page.add_argument("product")
    page.add_argument("window", help="its key, such as 2026-01-20")
    page.add_argument("--segment", help="may be left out where there is one")
    page.add_argument("--open", action="store_true", help="show it in the browser")


def _backtests(parsers: Parsers) -> None:
    backtest = _command(parsers, "backtest", reading.backtest, "the policies of retraining over history", reads=True)
    backtest.add_argument("product")
    backtest.add_argument("--segment", help="only this one (default: all)")
    backtest.add_argument("--out", type=Path, help="the folder for table, plot and page (default: below the home)")
    backtest.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")


def _alerts(parsers: Parsers) -> None:
    alerts = _command(parsers, "alerts", reading.alerts, "what needs a person, and whether they are told", reads=True)
    alerts.add_argument("product", nargs="?")
    alerts.add_argument("--test", action="store_true", help="send a test message to every destination")


def _acting(parsers: Parsers) -> None:
    for name, text in (("pause", "no retrain, no promotion; serving goes on"), ("resume", "end a pause")):
        act = _command(parsers, name, acting.pause if name == "pause" else acting.resume, text)
        act.add_argument("product")
        act.add_argument("--reason", required=True)
    retrain = _command(parsers, "retrain", acting.retrain, "ask for a training; the retrain sensor answers it once")
    retrain.add_argument("product")
    retrain.add_argument("--segment", help="only this segment (default: all)")
    retrain.add_argument("--reason", required=True)
    retrain.add_argument("--key", type=Path, help=KEY)
    dismiss = _command(parsers, "dismiss", acting.dismiss, "close open alarms without a training")
    dismiss.add_argument("product")
    dismiss.add_argument("--alarm", help="only this one: the first digits of its record, as `why` shows them")
    dismiss.add_argument("--segment", help="only those of this segment")
    dismiss.add_argument("--window", help="only those of this monitoring window")
    dismiss.add_argument("--reason", required=True)
    trying.arguments(_command(parsers, "traffic", trying.traffic, "who answers what share; canary, split", reads=True))
    rollback = _command(parsers, "rollback", acting.roll_back, "serve an earlier champion again")
    rollback.add_argument("product")
    rollback.add_argument("--to", type=int, help="version (default: the champion before)")
    rollback.add_argument("--segment", help="only this segment (default: all)")
    rollback.add_argument("--reason", required=True)


def _answering(parsers: Parsers) -> None:
    key = _command(parsers, "key", candidates.key, "make a personal key, and print the line for the people file")
    key.add_argument("name", help="as the people file is to have it")
    key.add_argument("--out", type=Path, required=True, metavar="FILE", help="the private key; never overwritten")
    approve = _command(
        parsers, "approve", candidates.approve, "agree to a candidate; with the last role it is deployed"
    )
    approve.add_argument("candidate", metavar="PRODUCT@VERSION")
    approve.add_argument("--role", help="may be left out where one has one of them")
    reject = _command(parsers, "reject", candidates.reject, "reject a candidate: it is never promoted")
    reject.add_argument("candidate", metavar="PRODUCT@VERSION")
    for each in (approve, reject):
        each.add_argument("--print", action="store_true", help="only print the signed statement, to paste into the UI")
    waive = _command(parsers, "waive", candidates.waive, "let one candidate pass without one criterion of the gate")
    waive.add_argument("candidate", metavar="PRODUCT@VERSION")
    waive.add_argument("criterion", help="such as fairness")
    waive.add_argument("--until", required=True, metavar="DATE", help="a date, which counts to its end, or a time")
    adopt = _command(parsers, "adopt", candidates.adopt, "make an existing model file a segment's first champion")
    adopt.add_argument("product")
    adopt.add_argument("file", type=Path, help="LightGBM's text, or .safetensors with its spec.json beside")
    adopt.add_argument("--segment", help="may be left out where there is one")
    for each in (approve, reject, waive, adopt):
        each.add_argument("--reason", required=True)
        each.add_argument("--key", type=Path, help=KEY)
    letting.arguments(_command(parsers, "access", letting.access, "who may do what at a product's endpoint"))


def _command(
    parsers: Parsers,
    name: str,
    run: Command,
    text: str,
    *,
    reads: bool = False,
) -> argparse.ArgumentParser:
    parser = parsers.add_parser(name, help=text, description=text)
    parser.set_defaults(command=run)
    if reads:
        parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
