"""Request bodies -> rows: a plain row, `{"rows": [...]}`, the Open Inference Protocol v2, MLflow's four formats."""

from typing import Literal, NamedTuple, TypeVar, cast

import msgspec
from msgspec import UNSET, Raw, UnsetType

from mlops_assets.serving.requests.decoder import no_json
from mlops_assets.serving.requests.oip import OipRequest, oip_rows
from mlops_assets.serving.requests.refusal import Refused, told

MAX_ROWS = 10_000
_MLFLOW = "one of dataframe_split, dataframe_records, instances, inputs"

Kind = Literal["row", "rows", "oip", "mlflow"]
T = TypeVar("T")


class Form(NamedTuple):
    """A request's rows before they are decoded: the JSON of one plain row with its segment, or parsed rows."""

    kind: Kind
    body: bytes
    segment: object
    rows: list[object]
    client_id: str | None


class _Peek(msgspec.Struct):
    inputs: Raw | UnsetType = UNSET
    rows: Raw | UnsetType = UNSET
    segment: object = UNSET


class _Split(msgspec.Struct, forbid_unknown_fields=True):
    columns: list[str]
    data: list[list[object]]
    index: object = None


class _Mlflow(msgspec.Struct, forbid_unknown_fields=True):
    dataframe_split: _Split | UnsetType = UNSET
    dataframe_records: list[object] | UnsetType = UNSET
    instances: list[object] | UnsetType = UNSET
    inputs: list[object] | dict[str, list[object]] | UnsetType = UNSET
    params: dict[str, object] | None = None


class Forms:
    """Tells request forms apart in one pass over the body. A product with a column `rows` sends rows in `rows`."""

    def __init__(self, segment: str | None) -> None:
        """Look at the request field `segment` on the way, if the product has one."""
        fields = [("inputs", Raw | UnsetType, UNSET), ("rows", Raw | UnsetType, UNSET), ("segment", object, UNSET)]
        peek = msgspec.defstruct("Peek", fields, rename={"segment": segment or "segment"})
        self._peek = msgspec.json.Decoder(cast("type[_Peek]", peek))
        self._rows = msgspec.json.Decoder(list[object])
        self._oip = msgspec.json.Decoder(OipRequest)
        self._mlflow = msgspec.json.Decoder(_Mlflow)

    def infer(self, body: bytes, json_length: int | None = None) -> Form:
        """Return the rows of `/v2/models/<product>/infer`; binary tensors begin at `json_length`, if there are any.

        Raises:
            Refused: If the body is no JSON, has another form, or too many rows.
        """
        text = body if json_length is None else body[:json_length]
        seen = _read(self._peek, text)
        if not isinstance(seen.inputs, UnsetType):
            request = _read(self._oip, text)
            rows = oip_rows(request, b"" if json_length is None else body[json_length:])
            return Form("oip", b"", UNSET, _counted(rows), request.id)
        if not isinstance(seen.rows, UnsetType):
            return Form("rows", b"", UNSET, _counted(_read(self._rows, bytes(seen.rows))), None)
        return Form("row", text, seen.segment, [], None)

    def invocations(self, body: bytes) -> Form:
        """Return the rows of `/invocations`.

        Raises:
            Refused: If the body is no JSON, has another form, or too many rows.
        """
        return Form("mlflow", b"", UNSET, _counted(_mlflow_rows(_read(self._mlflow, body))), None)


def _read(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refused(422, f"the body has another form: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise no_json(error) from error


def _counted(rows: list[object]) -> list[object]:
    if not rows:
        raise Refused(422, "the body holds no rows; right is 1 or more")
    if len(rows) > MAX_ROWS:
        raise Refused(413, f"the body holds {len(rows)} rows; right is {MAX_ROWS} or fewer")
    return rows


def _mlflow_rows(request: _Mlflow) -> list[object]:
    if request.params:
        raise Refused(422, f"found params {', '.join(request.params)}; this model takes none")
    given = [
        _split(request.dataframe_split) if not isinstance(request.dataframe_split, UnsetType) else None,
        request.dataframe_records if not isinstance(request.dataframe_records, UnsetType) else None,
        request.instances if not isinstance(request.instances, UnsetType) else None,
        _columns(request.inputs) if not isinstance(request.inputs, UnsetType) else None,
    ]
    found = [rows for rows in given if rows is not None]
    if len(found) != 1:
        raise Refused(422, f"found {len(found)} of MLflow's formats; right is {_MLFLOW}")
    return found[0]


def _split(frame: _Split) -> list[object]:
    names = frame.columns
    if len(set(names)) != len(names):
        raise Refused(422, f"dataframe_split names a column twice: {', '.join(names)}")
    for at, row in enumerate(frame.data):
        if len(row) != len(names):
            raise Refused(422, f"row {at} has {len(row)} values for {len(names)} columns: {told(row)}")
    return [dict(zip(names, row, strict=True)) for row in frame.data]


def _columns(inputs: list[object] | dict[str, list[object]]) -> list[object]:
    if isinstance(inputs, list):
        return inputs
    lengths = {name: len(values) for name, values in inputs.items()}
    if len(set(lengths.values())) > 1:
        raise Refused(422, f"the columns in `inputs` differ in length: {lengths}")
    return [dict(zip(inputs, row, strict=True)) for row in zip(*inputs.values(), strict=True)]
