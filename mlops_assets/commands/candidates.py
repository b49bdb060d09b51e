"""What each command about candidates does: who agrees, rejects, waives, adopts. Each returns an exit code."""

import argparse

from mlops_assets.settings import Settings


def key(options: argparse.Namespace, settings: Settings) -> int:
    """Make a personal key."""
    from mlops_assets.operations.approving import make_key

    for line in make_key(settings, options.name, options.out):
        print(line)
    return 0


def approve(options: argparse.Namespace, settings: Settings) -> int:
    """Agree to a candidate; 1 if that fills no role, or it is not promoted although everybody has agreed."""
    from mlops_assets.operations.approving import approve

    key, printed = options.key or settings.key, options.print
    found = approve(settings, options.candidate, role=options.role, reason=options.reason, key=key, printed=printed)
    print("\n".join(found.lines))
    return 0 if found.good else 1


def reject(options: argparse.Namespace, settings: Settings) -> int:
    """Reject a candidate."""
    from mlops_assets.operations.approving import reject

    key = options.key or settings.key
    print("\n".join(reject(settings, options.candidate, reason=options.reason, key=key, printed=options.print).lines))
    return 0


def waive(options: argparse.Namespace, settings: Settings) -> int:
    """Waive a criterion for a candidate; 1 if that does not count."""
    from mlops_assets.operations.approving import waive

    asked, key = {"criterion": options.criterion, "until": options.until}, options.key or settings.key
    found = waive(settings, options.candidate, **asked, reason=options.reason, key=key)
    print("\n".join(found.lines))
    return 0 if found.good else 1


def adopt(options: argparse.Namespace, settings: Settings) -> int:
    """Make a model file the first champion of a segment; 1 if it does not serve."""
    from mlops_assets.operations.adopting import adopt

    key = options.key or settings.key
    found = adopt(settings, options.product, options.file, segment=options.segment, reason=options.reason, key=key)
    print("\n".join(found.lines))
    return 0 if found.good else 1
