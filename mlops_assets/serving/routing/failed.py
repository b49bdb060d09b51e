"""Deployments that failed, as the ledger has them: a `fail` act says which and why, until it is asked for again."""

from collections.abc import Iterable

from mlops_assets.evidence.ledger import Act


def failure(acts: Iterable[Act], deployment: str) -> Act | None:
    """Return the act that says why `deployment` failed; None if it did not, or was asked for again since."""
    mine = [act for act in acts if act.record == deployment and act.kind in ("deploy", "fail")]
    return mine[-1] if mine and mine[-1].kind == "fail" else None


def unfailed(acts: Iterable[Act], *, besides: str | None = None) -> str | None:
    """Return the deployment that was asked for last, without those that failed and the one `besides`."""
    known = [act for act in acts if act.kind in ("deploy", "fail") and act.record != besides]
    asked = [act.record for act in known if act.kind == "deploy" and act.record is not None]
    return next((record for record in reversed(asked) if failure(known, record) is None), None)
