"""What each ancestor of a drifted window shows -> where the shift entered, and in which columns.

Two chains lead to a window: source -> requests -> logged features -> outputs, which serving saw, and source -> dataset
-> features, which training sees of the same time. An ancestor is put to the same test as the window was, against the
same ancestor of the windows that the model was trained on; where two ancestors hold the same rows, they are compared
row by row. The shift entered at the first ancestor that moved. What moved further down is put down to it as far as it
was made of the columns that moved there; the rest entered later. "Did not move" only counts where a move would have
shown.
"""

from collections.abc import Mapping, Sequence
from math import inf, sqrt
from statistics import NormalDist

from mlops_assets.detection.finding import Ancestor, Finding, How, Origin, Where, shown
from mlops_assets.detection.verdict import ColumnShift
from mlops_assets.evidence.records import Struct
from mlops_assets.training.reference import FEWEST, PREDICTION

BETWEEN = "entered between the source and serving"
CODE = "entered in feature code"
MOST = 0.5  # of rows that differ, from which on that alone tells what was changed
AMPLE = 1.5  # of the shift that is seen in 4 of 5 cases: seen in 99 of 100
FAR = 6.5  # sd at which as many other rows would have shown it too, in 99 of 100 cases: some 4 make a drift


class _Place(Struct, frozen=True, kw_only=True):
    where: Where
    columns: tuple[str, ...]
    words: str


_Told = Mapping[tuple[Ancestor, How], Finding]
_MadeOf = Mapping[str, Sequence[str]]


def origin(findings: Sequence[Finding], made_of: _MadeOf) -> Origin:
    """Return where the shift of the window's logged features and outputs entered.

    `findings` hold the window's own verdict as `logged features`, against training; any other may be missing.
    `made_of` names the inputs of each feature.
    """
    told: dict[tuple[Ancestor, How], Finding] = {(each.ancestor, each.how): each for each in findings}
    shifts = [each for each in told["logged features", "against training"].columns if each.column != PREDICTION]
    features = [each.column for each in shifts]
    upstream = _upstream(told)
    rest = _unexplained(shifts, told.get(("requests", "against training")), made_of)
    sent = _sent_otherwise(told, rest, made_of)
    online, code = _online(told, features), _code(told, features)
    new = _new_to_code(told, [each for each in rest if not _is_at(each, (sent, online, code), made_of)], made_of)
    model = None if features or upstream or online else _model(told.get(("outputs", "row by row")))
    places = [place for place in (*upstream, sent, code, new, online, model) if place is not None]
    first, *later = sorted(places, key=lambda place: place.where == "cannot tell")
    words = "; besides, ".join([first.words, *(place.words for place in later)])
    return Origin(where=first.where, columns=first.columns, words=words, tested=tuple(findings))


def _unexplained(shifts: Sequence[ColumnShift], requests: Finding | None, made_of: _MadeOf) -> list[ColumnShift]:
    """Return the features of which no input moved in the requests."""
    if requests is None or not requests.moved:
        return list(shifts)
    together = requests.kind == "joint"
    return [each for each in shifts if not together and not set(requests.moved) & set(made_of.get(each.column, ()))]


def _is_at(shift: ColumnShift, places: Sequence[_Place | None], made_of: _MadeOf) -> bool:
    concerned = {shift.column, *made_of.get(shift.column, ())}
    return any(place is not None and concerned & set(place.columns) for place in places)


def _upstream(told: _Told) -> list[_Place]:
    """Return with which inputs the shift came, and from how far up each did."""
    requests, source = told.get(("requests", "against training")), told.get(("source", "against training"))
    if requests is None or not requests.moved:
        return []
    shared = _shared(source, requests) if source else ()
    left = [each for each in requests.columns if each.column not in {other.column for other in shared}]
    found: list[_Place] = []
    if shared:
        words = f"entered at the source: its own rows of that time moved as the requests did: {shown(shared)}"
        found.append(_place("source", shared, words))
    if left and not (shared and requests.kind == "joint"):
        found.append(_not_shared(left, requests, source, told.get(("requests", "row by row"))))
    return found


def _not_shared(
    left: Sequence[ColumnShift], requests: Finding, source: Finding | None, same_rows: Finding | None
) -> _Place:
    """Return where shifts of the requests entered that the source's own test does not show."""
    moved, said = {each.column for each in left}, shown(left)
    differ = [each for each in same_rows.columns if each.column in moved] if same_rows else []
    if same_rows is not None and not differ and same_rows.rows >= max(FEWEST, requests.rows / 2):
        words = f"entered at the source, which holds what was sent ({same_rows.rows:,} rows are equal): {said}"
        return _place("source", left, words)
    quiet = source is not None and source.state != "cannot tell" and _would_have_seen(source, left, requests.rows)
    if quiet or any(each.effect >= MOST for each in differ):
        still = "the source's own rows of that time did not move, " if quiet else ""
        noted = f"; {shown(differ)}" if differ else ""
        return _place("between source and serving", left, f"{BETWEEN}: {still}the requests did: {said}{noted}")
    words = f"entered with the requests: {said}; whether the source moved too cannot be told: {_silence(source)}"
    return _place("requests", left, words)


def _shared(source: Finding, requests: Finding) -> tuple[ColumnShift, ...]:
    """Return what moved in the source of that which moved in the requests; how columns go together is one thing."""
    together = source.kind == requests.kind == "joint"
    return tuple(each for each in source.columns if source.moved and (together or each.column in requests.moved))


def _would_have_seen(quiet: Finding, shifts: Sequence[ColumnShift], rows: int) -> bool:
    """Return whether a shift seen in `rows` is so large that it would have shown in the quiet ancestor's rows too."""
    share = min(1.0, quiet.rows / max(rows, 1))
    return any(
        abs(each.effect) >= AMPLE * quiet.smallest_shift.get(each.column, inf)
        if each.unit == "sd"
        else _far(each) * sqrt(share) >= FAR
        for each in shifts
    )


def _far(shift: ColumnShift) -> float:
    """Return how far out a shift is, in sd of what is usual."""
    return -NormalDist().inv_cdf(max(shift.p_value, 1e-300) / 2)


def _silence(source: Finding | None) -> str:
    if source is None:
        return "it was not read"
    few = f"its {source.rows:,} rows of that time did not move, but so small a shift need not have shown"
    return source.words if source.state == "cannot tell" else few


def _sent_otherwise(told: _Told, features: Sequence[ColumnShift], made_of: _MadeOf) -> _Place | None:
    """Return the inputs of unexplained features that did not move, but mostly are not what the source holds."""
    same_rows = told.get(("requests", "row by row"))
    needed = {name for each in features for name in made_of.get(each.column, ())}
    found = [each for each in same_rows.columns if each.column in needed and each.effect >= MOST] if same_rows else []
    return _place("between source and serving", found, f"{BETWEEN}: {shown(found)}") if found else None


def _online(told: _Told, features: Sequence[str]) -> _Place | None:
    """Return what the endpoint computed otherwise than the same code does here: moved features, else outputs."""
    found: list[ColumnShift] = []
    for ancestor in ("logged features", "outputs"):
        finding = told.get((ancestor, "row by row"))
        if finding is not None and finding.state == "drift":
            found += [each for each in finding.columns if not features or each.column in features]
    words = f"entered between training and serving: the endpoint computes otherwise than training: {shown(found)}"
    return _place("between training and serving", found, words) if found else None


def _code(told: _Told, features: Sequence[str]) -> _Place | None:
    """Return which moved features the code of today no longer makes of training's rows as training did."""
    finding = told.get(("features", "row by row"))
    found = [each for each in finding.columns if each.column in features] if finding else []
    words = f"{CODE}, which has changed since the model was trained: of training's rows, {shown(found)}"
    return _place("feature code", found, words) if found else None


def _new_to_code(told: _Told, features: Sequence[ColumnShift], made_of: _MadeOf) -> _Place | None:
    """Return the features that moved although nothing that they are made of did, and their code is as it was."""
    if not features:
        return None
    names = " and ".join(each.column for each in features)
    inputs = {name for each in features for name in made_of.get(each.column, ())}
    requests = told.get(("requests", "against training"))
    if requests is None or requests.state == "cannot tell":
        return _unknown(requests.words if requests else "the requests were not read", features)
    if untested := sorted(inputs - set(requests.asked)):
        return _unknown(f"{names} moved, and {' and '.join(untested)} could not be tested", features)
    if all(_far(each) < FAR for each in features):
        return _unknown(f"{names} moved so little that the requests may have too without showing it", features)
    made = "; ".join(f"{each.column}, made of {' and '.join(made_of.get(each.column, ()))}," for each in features)
    news = "its code meets values, or values together, that are new"
    return _place("feature code", features, f"{CODE}: {made} moved although the requests did not; {news}")


def _model(outputs: Finding | None) -> _Place:
    same = outputs is not None and outputs.state == "ok"
    known = ", and the model gives the same ones here for the same features" if same else ""
    words = f"entered in no input: only the outputs moved{known}"
    return _Place(where="model", columns=(PREDICTION,), words=words)


def _unknown(why: str, features: Sequence[ColumnShift]) -> _Place:
    return _place("cannot tell", features, f"cannot tell: {why}")


def _place(where: Where, shifts: Sequence[ColumnShift], words: str) -> _Place:
    return _Place(where=where, columns=tuple(each.column for each in shifts), words=words)
