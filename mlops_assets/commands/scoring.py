"""What the command does that scores a file: its arguments, and a call."""

import argparse
from pathlib import Path

from mlops_assets.commands.reading import show
from mlops_assets.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is asked for with `score`."""
    parser.add_argument("product")
    parser.add_argument("file", type=Path, help="CSV, Parquet or NDJSON")
    parser.add_argument("--out", type=Path, help="where the predictions go (default: FILE.scored.csv and so on)")
    parser.add_argument("--segment", help="that of all rows (default: as the column of each says)")
    parser.add_argument("--now", action="store_true", help="as predictions of now, whatever time the rows name")


def score(options: argparse.Namespace, settings: Settings) -> int:
    """Score a file; 2 if rows of it were set aside, 1 if all were."""
    from mlops_assets.operations.scoring import score, score_lines

    asked = {"out": options.out, "segment": options.segment, "now": options.now}
    found = score(settings, options.product, options.file, **asked)
    show(options, found, score_lines(found))
    return found.exit_code
