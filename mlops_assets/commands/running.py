"""What each command that makes or runs something does. Each returns an exit code."""

import argparse
import shlex
import sys
from functools import partial

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
    from mlops_assets.lineage.shown import traced
    from mlops_assets.parts import duration_seconds
    from mlops_assets.serving.worker.server import serve

    product = read_catalogue(settings.defs).product(options.product)
    return serve(
        product,
        settings,
        host=options.host,
        port=options.port,
        clock=options.clock,
        kept=options.log,
        linger_s=duration_seconds(options.linger),
        tracer=partial(traced, settings),
    )


def backfill(options: argparse.Namespace, settings: Settings) -> int:
    """Make what is missing, failed or stale."""
    from mlops_assets.operations.backfill import backfill
    from mlops_assets.operations.table_backfill import backfill_scores

    chosen = {"windows": options.windows, "segments": options.segments}
    if options.stage == "scores":
        return backfill_scores(settings, options.product, **chosen, dry_run=options.dry_run)
    return backfill(
        settings,
        options.product,
        stage=options.stage,
        **chosen,
        dry_run=options.dry_run,
    )
