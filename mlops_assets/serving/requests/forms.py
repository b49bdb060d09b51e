"""Request bodies -> rows: a plain row, `{"rows": [...]}`, the Open Inference Protocol v2, MLflow's formats, CSV."""

from typing import Literal, TypeVar, cast

import msgspec
from msgspec import UNSET, Raw, UnsetType

from mlops_assets.serving.requests.decoder import no_json
from mlops_assets.serving.requests.invocations import Invocation, csv_rows, invocation_rows
from mlops_assets.serving.requests.oip import ALL_OUTPUTS, OipRequest, Outputs, oip_rows, wanted_outputs
from mlops_assets.serving.requests.refusal import Refused, counted
from mlops_assets.serving.requests.written import Written

MAX_ROWS = 10_000

Kind = Literal["row", "rows", "oip", "mlflow"]
T = TypeVar("T")

_INFER = (
    'one row {"COLUMN": VALUE, …}, several {"rows": [ROW, …]}, or tensors {"inputs": [{"name": …, "shape": …, '
    '"datatype": …, "data": […]}, …]}'
)
_INVOCATIONS = (
    'one of {"dataframe_split": {"columns": […], "data": [[…], …]}}, {"dataframe_records": [ROW, …]}, '
    '{"instances": [ROW, …]}, {"inputs": {"COLUMN": [VALUE, …], …}}; a plain row goes to /v2/models/PRODUCT/infer'
)


class Form(msgspec.Struct, frozen=True, gc=False):
    """A request's rows before they are decoded: the JSON of one plain row with its segment, or parsed rows.

    Also what else it asks for: OIP's `outputs`, the `version` that has to answer, and its reasons (`explain`).
    """

    kind: Kind
    body: bytes
    segment: object
    rows: list[object]
    client_id: str | None
    written: Written = "json"
    outputs: Outputs = ALL_OUTPUTS
    version: str | None = None
    explain: bool = False


class _Peek(msgspec.Struct):
    inputs: Raw | UnsetType = UNSET
    rows: Raw | UnsetType = UNSET
    segment: object = UNSET


class _Rows(msgspec.Struct, forbid_unknown_fields=True):
    rows: list[object]


class Forms:
    """Tells request forms apart in one pass over the body. A product with a column `rows` sends rows in `rows`."""

    def __init__(self, segment: str | None, most: int = MAX_ROWS) -> None:
        """Look at the request field `segment` on the way, if the product has one, and take `most` rows at once."""
        fields = [("inputs", Raw | UnsetType, UNSET), ("rows", Raw | UnsetType, UNSET), ("segment", object, UNSET)]
        peek = msgspec.defstruct("Peek", fields, rename={"segment": segment or "segment"})
        self._peek = msgspec.json.Decoder(cast("type[_Peek]", peek))
        self._rows = msgspec.json.Decoder(_Rows)
        self._oip = msgspec.json.Decoder(OipRequest)
        self._mlflow = msgspec.json.Decoder(Invocation)
        self._most = most

    def infer(self, body: bytes, json_length: int | None = None) -> Form:
        """Return the rows of `/v2/models/<product>/infer`; binary tensors begin at `json_length`, if there are any.

        Raises:
            Refused: If the body is no JSON, has another form, or too many rows.
        """
        if json_length is not None and json_length > len(body):
            raise Refused(400, f"the JSON before the tensors is {json_length} bytes long, the whole body {len(body)}")
        text = body if json_length is None else body[:json_length]
        seen = _read(self._peek, text)
        if not isinstance(seen.inputs, UnsetType):
            request = _read(self._oip, text)
            rows = oip_rows(request, b"" if json_length is None else body[json_length:], self._most)
            return Form("oip", b"", UNSET, self._counted(rows), request.id, "json", wanted_outputs(request))
        if not isinstance(seen.rows, UnsetType):
            return Form("rows", b"", UNSET, self._counted(_read(self._rows, text).rows), None)
        return Form("row", text, seen.segment, [], None)

    def invocations(self, body: bytes) -> Form:
        """Return the rows of `/invocations`.

        Raises:
            Refused: If the body is no JSON, has another form, or too many rows.
        """
        rows = invocation_rows(_read(self._mlflow, body, _INVOCATIONS), self._most)
        return Form("mlflow", b"", UNSET, self._counted(rows), None, "pandas")

    def csv(self, body: bytes, kind: Kind) -> Form:
        """Return the rows of a CSV, answered as `kind`.

        Raises:
            Refused: If the body is no CSV, or has too many rows.
        """
        return Form(kind, b"", UNSET, self._counted(csv_rows(body, self._most)), None, "csv")

    def _counted(self, rows: list[object]) -> list[object]:
        if not rows:
            raise Refused(422, "the body holds no rows; right is 1 or more")
        counted(len(rows), self._most)
        return rows


def _read(decoder: msgspec.json.Decoder[T], body: bytes, right: str = _INFER) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refused(422, f"the body has another form: {error}; right is {right}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise no_json(error) from error
