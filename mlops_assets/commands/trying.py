"""What the command `traffic` does: it shows who answers, or lets a version answer beside the champion."""

import argparse

from mlops_assets.commands.reading import show
from mlops_assets.settings import Settings

FORM = "5% VERSION"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `traffic` takes."""
    parser.add_argument("product")
    one = parser.add_mutually_exclusive_group()
    for name, text in (
        ("canary", "a share that the declared ramp may raise, and that is taken back if it is worse"),
        ("split", "a fixed share, to compare two versions on what becomes of their answers"),
    ):
        one.add_argument(f"--{name}", nargs="+", metavar="SHARE VERSION", help=f"{text}, such as 5%% 3")
    one.add_argument("--shadow", type=int, metavar="VERSION", help="copies of all requests; nobody gets its answers")
    one.add_argument("--withdraw", action="store_true", help="end what answers beside the champion")
    parser.add_argument("--segment", help="may be left out where there is one")
    parser.add_argument("--reason", default="by hand")


def traffic(options: argparse.Namespace, settings: Settings) -> int:
    """Show who answers, or change it."""
    from mlops_assets.operations import trials

    if options.withdraw:
        lines = trials.withdraw(settings, options.product, options.segment, options.reason)
    elif options.shadow is not None:
        given = (options.product, options.segment, "shadow", options.shadow, None, options.reason)
        lines = trials.set_traffic(settings, *given)
    elif options.canary or options.split:
        name = "canary" if options.canary else "split"
        share, version = _share_and_version(name, options.canary or options.split)
        given = (options.product, options.segment, name, version, share, options.reason)
        lines = trials.set_traffic(settings, *given)
    else:
        found = trials.traffic(settings, options.product)
        show(options, found, trials.traffic_lines(options.product, found))
        return 0
    print("\n".join(lines))
    return 0


def _share_and_version(name: str, given: list[str]) -> tuple[float, int]:
    """Return a share (0 to 1) and a version.

    Raises:
        ValueError: If there is another number of words, or one is none of these.
    """
    from mlops_assets.endpoint import percent

    if len(given) != 2:
        raise ValueError(f"--{name} {' '.join(given)}: right is a share and a version, such as --{name} {FORM}")
    share = percent(given[0])
    assert isinstance(share, float)
    if not given[1].isdecimal():
        raise ValueError(f"--{name} {' '.join(given)}: {given[1]!r} is no version; right is a number, such as 3")
    return share, int(given[1])
