"""Scored rows -> their reasons, in the order of the request.

Reasons are not logged: they follow from the model and the logged input, so `replay`'s inputs give them again.
"""

from collections.abc import Sequence

from mlops_assets.serving.answering.groups import Group
from mlops_assets.serving.requests.forms import Form
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets.training.reasons.reasons import NoReasons, Reasons

MOST_ROWS = 100
MOST_NUMBERS = 100_000  # contributions in one answer, 2 MB of JSON


def reasons_of(form: Form, groups: Sequence[Group]) -> list[Reasons]:
    """Return why each row has its score; some milliseconds of work for each row.

    Raises:
        Refused: 422 if the model's answers cannot be explained, 413 if these are too many rows.
    """
    rows = sum(len(group.places) for group in groups)
    most = min(MOST_ROWS, MOST_NUMBERS // max(len(group.by.model.spec.features) for group in groups) or 1)
    if rows > most:
        raise Refused(413, f"explain=true for {rows} rows; right is {most} or fewer at once")
    if form.kind == "oip" and len({tuple(group.by.model.spec.features) for group in groups}) > 1:
        raise Refused(422, "explain=true over models with other features; right is a request for each segment")
    found: dict[int, Reasons] = {}
    for group in groups:
        try:
            made = group.by.model.predictor.explain([row.values for row in group.rows])
        except NoReasons as problem:
            raise Refused(422, f"explain=true: {problem}") from problem
        found |= dict(zip(group.places, made, strict=True))
    return [found[place] for place in range(rows)]
