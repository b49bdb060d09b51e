"""What each command by which a person steers a product does. Each returns an exit code."""

import argparse

from mlops_assets.settings import Settings


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
