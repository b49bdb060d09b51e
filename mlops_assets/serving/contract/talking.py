"""A live endpoint, asked over HTTP by a check: what it said, or an AssertionError that it did not answer."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from mlops_assets.evidence.records import Json

ANSWER_S = 30.0
ID, VERSION = "mlops-inference-id", "mlops-model-version"

RequestRow = Mapping[str, object]


class Predicted(msgspec.Struct, frozen=True):
    """What was said of one row: output, version, and its own inference id where the form has one."""

    output: float | str
    version: str
    id: str


@dataclass(frozen=True, kw_only=True)
class Reply:
    """Status, headers by lower-case name, and the body as JSON (None if it is none)."""

    status: int
    headers: Mapping[str, str]
    body: Json

    def says(self, name: str) -> Json:
        """Return a field of the body, None if it has no such field."""
        return self.body.get(name) if isinstance(self.body, dict) else None


@dataclass(frozen=True, kw_only=True)
class Live:
    """An endpoint of `product` at `url`; `key` is an API key."""

    url: str
    product: str
    key: str | None = field(default=None, repr=False)

    def get(self, path: str) -> Reply:
        """Return what the endpoint says at `path`."""
        return self._said(path, None)

    def post(self, path: str, body: object) -> Reply:
        """Return what the endpoint says to `body`: JSON, or bytes as they are."""
        return self._said(path, body if isinstance(body, bytes) else json.dumps(body).encode())

    @property
    def infer(self) -> str:
        """The path of predictions."""
        return f"/v2/models/{self.product}/infer"

    def alone(self, row: RequestRow) -> Predicted:
        """Return the answer to a plain row."""
        reply = self.answered(self.infer, dict(row))
        return Predicted(_output(reply.says("output")), str(reply.says("model_version")), reply.headers.get(ID, ""))

    def together(self, rows: Sequence[RequestRow]) -> list[Predicted]:
        """Return the answers to several plain rows in one request."""
        reply = self.answered(self.infer, {"rows": [dict(row) for row in rows]})
        found = msgspec.convert(reply.says("predictions"), list[dict[str, object]])
        return [
            Predicted(_output(each["output"]), str(each["model_version"]), str(each["inference_id"])) for each in found
        ]

    def tensors(self, rows: Sequence[RequestRow], datatypes: Mapping[str, str]) -> list[Predicted]:
        """Return the answers to the rows as tensors of the Open Inference Protocol."""
        inputs = [
            {"name": name, "shape": [len(rows)], "datatype": datatypes[name], "data": [row[name] for row in rows]}
            for name in rows[0]
        ]
        reply = self.answered(self.infer, {"inputs": inputs})
        outputs = msgspec.convert(reply.says("outputs"), list[dict[str, object]])
        data = msgspec.convert(outputs[0]["data"], list[float | str])
        return [Predicted(each, str(reply.says("model_version")), reply.headers.get(ID, "")) for each in data]

    def records(self, rows: Sequence[RequestRow]) -> list[Predicted]:
        """Return the answers to the rows in a format of MLflow's."""
        reply = self.answered("/invocations", {"dataframe_records": [dict(row) for row in rows]})
        data = msgspec.convert(reply.says("predictions"), list[float | str])
        return [Predicted(each, str(reply.says("model_version")), reply.headers.get(ID, "")) for each in data]

    def answered(self, path: str, body: object) -> Reply:
        """Return the reply to a request that is right.

        Raises:
            AssertionError: If it was refused.
        """
        reply = self.post(path, body)
        if reply.status != 200:
            raise AssertionError(f"{path} answered {reply.status} to a right request: {reply.body}; right is 200")
        return reply

    def _said(self, path: str, body: bytes | None) -> Reply:
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {self.key}"} if self.key else {})
        request = urllib.request.Request(self.url.rstrip("/") + path, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
                return _reply(answer.status, dict(answer.headers.items()), answer.read())
        except urllib.error.HTTPError as refused:
            with refused:  # it holds the connection
                return _reply(refused.code, dict(refused.headers.items()), refused.read())
        except OSError as error:
            raise AssertionError(f"{self.url}{path} does not answer: {error}") from error


def _reply(status: int, headers: Mapping[str, str], body: bytes) -> Reply:
    try:
        read: Json = msgspec.json.decode(body)
    except msgspec.DecodeError:
        read = None
    return Reply(status=status, headers={name.lower(): value for name, value in headers.items()}, body=read)


def _output(value: object) -> float | str:
    return msgspec.convert(value, float | str)
