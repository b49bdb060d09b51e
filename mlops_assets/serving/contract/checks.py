"""What holds of every endpoint: it says what it is, answers as the model does offline, refuses by name, and logs."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from mlops_assets.serving.contract.talking import Live, Predicted, RequestRow
from mlops_assets.serving.log.frames import find_frame, mapped
from mlops_assets.serving.log.ids import parse

Offline = Callable[[Sequence[RequestRow]], Sequence[float | str]]

TOLERANCE = 1e-9
_WRONG: object = [["no column holds this"]]


def check_endpoint(
    url: str,
    product: str,
    rows: Sequence[RequestRow],
    *,
    offline: Offline | None = None,
    home: Path | None = None,
    key: str | None = None,
) -> None:
    """Check a live endpoint with rows that it should answer.

    It has to be ready and say what it reads; say the same of a row in every form, alone and among others; refuse what
    is wrong by the field's name and with no answer; and give each request an id of its own. With `offline`, what the
    model says of the rows without the endpoint, the answers have to be those; with `home`, the endpoint's folder, every
    answer has to be in its log. It adds predictions to the log, some for each row, so monitoring counts them too.

    Raises:
        AssertionError: At the first of these that does not hold; the message says what was found and what is right.
        ValueError: If `rows` is empty.
    """
    if not rows:
        raise ValueError("no rows to ask about; right is one or more that the endpoint should answer")
    live = Live(url=url, product=product, key=key)
    datatypes = _check_described(live, rows)
    alone = [live.alone(row) for row in rows]
    batch = [*rows, *rows]  # more than one row, so that each has an id of its own
    together = live.together(batch)
    tensors, records = live.tensors(rows, datatypes), live.records(rows)
    for form, found in (("tensors", tensors), ("/invocations", records), ("rows", together[: len(rows)])):
        _check_same(alone, found, f"alone and as {form}")
    if offline is not None:
        given = [Predicted(output, each.version, each.id) for output, each in zip(offline(rows), alone, strict=True)]
        _check_same(alone, given, "by the endpoint and offline")
    _check_ids(alone, together)
    _check_refusals(live, rows[0])
    if home is not None:
        _check_logged(home / "serving" / product / "log", alone + together)


def _check_described(live: Live, rows: Sequence[RequestRow]) -> dict[str, str]:
    """Return the datatype of each field of a request."""
    for path in ("/v2/health/live", "/v2/health/ready", f"/v2/models/{live.product}/ready"):
        if (status := live.get(path).status) != 200:
            raise AssertionError(f"{path} answers {status}; right is 200")
    if "version" not in (said := msgspec.convert(live.get("/v2").body, dict[str, object])):
        raise AssertionError(f"/v2 says {said}; right is the protocol's server metadata")
    inputs = live.get(f"/v2/models/{live.product}").says("inputs")
    datatypes = {each["name"]: str(each["datatype"]) for each in msgspec.convert(inputs, list[dict[str, object]])}
    known = {str(name): datatype for name, datatype in datatypes.items()}
    for name in rows[0]:
        if name not in known:
            raise AssertionError(f"the endpoint reads no field {name!r}; it says that it reads {', '.join(known)}")
    document = live.get("/openapi.json")
    paths = document.says("paths")
    if not str(document.says("openapi")).startswith("3.1") or not isinstance(paths, dict) or live.infer not in paths:
        raise AssertionError(f"/openapi.json is no OpenAPI 3.1 document of {live.infer}")
    return known


def _check_same(first: Sequence[Predicted], second: Sequence[Predicted], how: str) -> None:
    """Check that outputs are the same where the same version gave them: a canary may say something else."""
    for at, (one, other) in enumerate(zip(first, second, strict=True)):
        if one.version == other.version and not _equal(one.output, other.output):
            raise AssertionError(f"row {at} is scored {one.output} and {other.output}, {how}; right is one score")


def _equal(one: float | str, other: float | str) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return abs(one - other) <= TOLERANCE * max(1.0, abs(one))


def _check_ids(alone: Sequence[Predicted], together: Sequence[Predicted]) -> None:
    for each in [*alone, *together]:
        try:
            parse(each.id)
        except ValueError as problem:
            raise AssertionError(f"an answer has the inference id {each.id!r}; right is a UUIDv7") from problem
    requests = [each.id for each in alone]
    if len(set(requests)) != len(requests):
        raise AssertionError(f"two requests have the same inference id: {requests}")
    batch = {each.id.partition(".")[0] for each in together}
    if len(batch) != 1 or [each.id for each in together] != [f"{min(batch)}.{at}" for at in range(len(together))]:
        raise AssertionError(f"the rows of a batch have the ids {[each.id for each in together]}; right is <id>.<row>")


def _check_refusals(live: Live, row: RequestRow) -> None:
    for what, body, field in _wrong(row):
        reply = live.post(live.infer, body)
        if not 400 <= reply.status < 500:
            raise AssertionError(f"{what} is answered with {reply.status}: {reply.body}; right is a refusal, 4xx")
        if field not in str(reply.says("error")):
            raise AssertionError(f"{what} is refused with {reply.body}; right is a sentence that names {field!r}")
        if "mlops-inference-id" in reply.headers:
            raise AssertionError(f"{what} is refused and has an inference id; right is none: nothing was predicted")
    alone = live.alone(row)  # what was refused has done no harm
    _check_same([alone], [live.alone(row)], "after refusals")


def _wrong(row: RequestRow) -> Iterator[tuple[str, object, str]]:
    yield "no JSON", b"{", "JSON"
    yield "an unknown field", {**row, "no_such_field": 1}, "no_such_field"
    for name in row:
        yield f"another type of {name!r}", {**row, name: _WRONG}, name


def _check_logged(folder: Path, answers: Sequence[Predicted]) -> None:
    """Check that the log of a home on this machine has every answer; the windows of the moment are not sealed yet."""
    logs = [mapped(path) for path in folder.glob("*/*.log")]
    for each in answers:
        request = parse(each.id).request
        if not any(find_frame(log, request) for log in logs):
            raise AssertionError(f"{each.id} was answered and is in none of the {len(logs)} logs below {folder}")
