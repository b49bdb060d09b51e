"""The command line. Exit codes are its contract: 0 done, 1 failed, 2 partly or usage, 3 broken, 4 unknown."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from mlops_assets.catalogue import DeclarationError
from mlops_assets.evidence.ledger import Conflict
from mlops_assets.evidence.records import BrokenEvidence
from mlops_assets.evidence.step import NotReady
from mlops_assets.settings import Settings, load_settings

Command = Callable[[argparse.Namespace, Settings], int]


class Commands(Protocol):
    """Where commands are added: what `add_subparsers` returns."""

    def add_parser(self, name: str, *, help: str, description: str) -> argparse.ArgumentParser:
        """Return the parser of a new command."""
        ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    settings = load_settings(home=options.home)
    command: Command = options.command
    try:
        return command(options, settings)
    except BrokenEvidence as problem:
        print(f"broken: {problem}", file=sys.stderr)
        return 3
    except (
        DeclarationError,
        NotReady,
        Conflict,
        LookupError,
        ValueError,
        FileNotFoundError,
        FileExistsError,
    ) as problem:
        print(f"error: {problem.args[0] if problem.args else problem}", file=sys.stderr)
        return 4 if isinstance(problem, LookupError) else 1
    except BrokenPipeError:  # the reader, such as `head`, has gone; nothing else may be printed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mlops-assets", description="A model product's whole production life.")
    parser.add_argument(
        "--home", type=Path, help="where evidence and state live (default: .mlops_assets, or MLOPS_ASSETS_HOME)"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _making(commands)
    _running(commands)
    _reading(commands)
    _acting(commands)
    return parser


def _making(commands: Commands) -> None:
    init = _command(commands, "init", _init, "write a declaration from a CSV or Parquet file")
    init.add_argument("name")
    init.add_argument("file", type=Path)
    init.add_argument("--label", required=True, help="the column to predict")
    for role in ("time", "key", "segment"):
        init.add_argument(f"--{role}", help=f"the {role} column, if there is one")
    sample = _command(commands, "sample", _sample, "write a sample file to try `init` with")
    sample.add_argument("file", type=Path)
    sample.add_argument("--rows", type=int, default=20_000)
    _command(commands, "validate", _validate, "check every declaration against its source")
    _command(commands, "env", _env, 'print the environment for Dagster\'s own commands: eval "$(mlops-assets env)"')


def _running(commands: Commands) -> None:
    _command(commands, "demo", _demo, "the whole loop on simulated loan applications, in under three minutes")
    up = _command(commands, "up", _up, "Dagster's UI and daemon, and the endpoints, until Ctrl-C")
    up.add_argument("--port", type=int, default=3000, help="port of the UI; endpoints follow from --endpoint-port")
    up.add_argument("--endpoint-port", type=int, default=8000)
    up.add_argument("--clock", choices=("server", "replay"), default="server")
    serve = _command(commands, "serve", _serve, "the endpoint of one product")
    serve.add_argument("product")
    serve.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    serve.add_argument("--clock", choices=("server", "replay"), default="server")
    backfill = _command(commands, "backfill", _backfill, "make what is missing, failed or stale, in order, here")
    backfill.add_argument("product")
    backfill.add_argument(
        "--stage",
        choices=("annotations", "dataset", "features", "model"),
        help="up to this stage; `model` trains every window",
    )
    backfill.add_argument("--windows", help="A...B: from window A up to and with B")
    backfill.add_argument("--segments", help="a,b: only these")
    backfill.add_argument("--dry-run", action="store_true", help="list what would be made, and why")


def _reading(commands: Commands) -> None:
    status = _command(commands, "status", _status, "live versions, health, drift, data age, next act", reads=True)
    status.add_argument("product", nargs="?")
    predictions = _command(commands, "predictions", _predictions, "recent inference ids", reads=True)
    predictions.add_argument("product")
    predictions.add_argument("--last", type=int, default=20)
    predictions.add_argument("--since", help="ISO time")
    trace = _command(
        commands, "trace", _trace, "the proof for an inference id, product@version, record or asset", reads=True
    )
    trace.add_argument("ref")
    trace.add_argument("--budget", default="2s", help="time to spend on re-hashing tables")
    trace.add_argument("--verify", action="store_true", help="re-hash everything")
    why = _command(commands, "why", _why, "the stored retraining decisions", reads=True)
    why.add_argument("product")
    why.add_argument("--since", help="ISO time")


def _acting(commands: Commands) -> None:
    for name, text in (("pause", "no retrain, no promotion; serving goes on"), ("resume", "end a pause")):
        act = _command(commands, name, _pause if name == "pause" else _resume, text)
        act.add_argument("product")
        act.add_argument("--reason", required=True)
    rollback = _command(commands, "rollback", _rollback, "serve an earlier champion again")
    rollback.add_argument("product")
    rollback.add_argument("--to", type=int, help="version (default: the champion before)")
    rollback.add_argument("--segment", help="only this segment (default: all)")
    rollback.add_argument("--reason", required=True)


def _command(
    commands: Commands,
    name: str,
    run: Command,
    text: str,
    *,
    reads: bool = False,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(command=run)
    if reads:
        parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def _print(options: argparse.Namespace, body: object, lines: Sequence[str]) -> None:
    print(json.dumps(msgspec.to_builtins(body), indent=2) if options.json else "\n".join(lines))


def _init(options: argparse.Namespace, settings: Settings) -> int:
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


def _sample(options: argparse.Namespace, settings: Settings) -> int:
    from mlops_assets.samples import write_sample

    write_sample(options.file, rows=options.rows)
    print(f"{options.file}: {options.rows:,} half-hours, label `price_up`, time `interval_start`")
    return 0


def _validate(options: argparse.Namespace, settings: Settings) -> int:
    from mlops_assets.operations.status import validate

    problems = validate(settings)
    print("\n".join(problems) or "every declaration is right", file=sys.stderr if problems else sys.stdout)
    return 1 if problems else 0


def _env(options: argparse.Namespace, settings: Settings) -> int:
    from mlops_assets.loop import dagster_home
    from mlops_assets.settings import exports

    dagster_home(settings)
    print("\n".join(f"export {name}={value}" for name, value in exports(settings).items()))
    return 0


def _demo(options: argparse.Namespace, settings: Settings) -> int:
    from mlops_assets.operations.demo import demo

    return demo(settings if options.home else load_settings(home=settings.home / "demo"))


def _up(options: argparse.Namespace, settings: Settings) -> int:
    from mlops_assets.operations.up import up

    return up(settings, port=options.port, endpoint_port=options.endpoint_port, clock=options.clock)


def _serve(options: argparse.Namespace, settings: Settings) -> int:
    from mlops_assets.catalogue import read_catalogue
    from mlops_assets.serving.server import serve

    product = read_catalogue(settings.defs).product(options.product)
    return serve(product, settings, port=options.port, clock=options.clock)


def _backfill(options: argparse.Namespace, settings: Settings) -> int:
    from mlops_assets.operations.backfill import backfill

    return backfill(
        settings,
        options.product,
        stage=options.stage,
        windows=options.windows,
        segments=options.segments,
        dry_run=options.dry_run,
    )


def _status(options: argparse.Namespace, settings: Settings) -> int:
    from mlops_assets.operations.status import status, status_lines

    body = status(settings, options.product)
    _print(options, body, status_lines(body))
    return 0


def _predictions(options: argparse.Namespace, settings: Settings) -> int:
    from mlops_assets.lineage.predictions import recent, recent_lines

    rows = recent(settings, options.product, last=options.last, since=options.since)
    _print(options, rows, recent_lines(rows))
    return 0


def _trace(options: argparse.Namespace, settings: Settings) -> int:
    from mlops_assets.lineage.proof import trace_lines
    from mlops_assets.lineage.trace import trace
    from mlops_assets.product import duration_seconds

    proof = trace(settings, options.ref, budget_s=None if options.verify else duration_seconds(options.budget))
    _print(options, proof.as_json(), trace_lines(proof))
    return proof.exit_code


def _why(options: argparse.Namespace, settings: Settings) -> int:
    from mlops_assets.operations.status import decision_lines, decisions

    rows = decisions(settings, options.product, since=options.since)
    _print(options, rows, decision_lines(rows))
    return 0


def _pause(options: argparse.Namespace, settings: Settings) -> int:
    from mlops_assets.operations.acts import hold

    print(hold(settings, options.product, kind="pause", reason=options.reason))
    return 0


def _resume(options: argparse.Namespace, settings: Settings) -> int:
    from mlops_assets.operations.acts import hold

    print(hold(settings, options.product, kind="resume", reason=options.reason))
    return 0


def _rollback(options: argparse.Namespace, settings: Settings) -> int:
    from mlops_assets.operations.acts import roll_back

    for line in roll_back(settings, options.product, to=options.to, segment=options.segment, reason=options.reason):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
