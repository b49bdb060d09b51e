"""What a step writes down: recipe (what goes in), record (what came of it), envelope (where and when)."""

import hashlib
from typing import Any, Literal

import msgspec
import rfc8785

Json = bool | int | float | str | list[Any] | dict[str, Any] | None
Severity = Literal["error", "warn"]


class BrokenEvidence(Exception):
    """Stored evidence is missing, or is not what its hash says."""

    def __init__(self, path: str, problem: str) -> None:
        """Name the file and what is wrong with it."""
        super().__init__(f"{path}: {problem}")
        self.path = path


class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of everything that is stored: frozen, keyword-only, unknown fields refused."""


class Place(Struct, frozen=True, kw_only=True, order=True):
    """One partition of one stage of one product."""

    product: str
    stage: str
    partition: str

    def __str__(self) -> str:
        """Return `product/stage[partition]`."""
        return f"{self.product}/{self.stage}[{self.partition}]"


class Input(Struct, frozen=True, kw_only=True):
    """What a step read: which record, and the content root of the output that it used."""

    place: Place
    record: str
    root: str


class Output(Struct, frozen=True, kw_only=True):
    """What a step made: `root` is the content root of a table, the sha256 of any other file."""

    name: str
    root: str
    rows: int | None = None
    schema: list[tuple[str, str]] | None = None


class Check(Struct, frozen=True, kw_only=True):
    """A check computed in the same step. Only a failed blocking one stops what follows."""

    name: str
    passed: bool
    severity: Severity = "error"
    blocking: bool = True
    facts: dict[str, Json] = {}


class Code(Struct, frozen=True, kw_only=True):
    """Which code ran: `id` is the stage's own source and libraries; the rest says where it came from."""

    id: str
    commit: str | None = None
    dirty: bool | None = None
    lock: str | None = None
    image: str | None = None


class Recipe(Struct, frozen=True, kw_only=True):
    """What goes into a step, known before it runs."""

    schema: int = 1
    place: Place
    inputs: list[tuple[str, str]] = []
    params: dict[str, Json] = {}
    seed: int = 0
    state: dict[str, str] = {}
    code: str

    @property
    def id(self) -> str:
        """The recipe's sha256."""
        return digest(canonical(self))


class Record(Struct, frozen=True, kw_only=True):
    """What came of a recipe. Since inputs are named by hash, a record's id commits to its whole ancestry."""

    schema: int = 1
    recipe: str
    place: Place
    inputs: list[Input]
    outputs: list[Output]
    checks: list[Check] = []
    params: dict[str, Json] = {}
    seed: int = 0
    state: dict[str, str] = {}
    facts: dict[str, Json] = {}
    code: Code

    @property
    def id(self) -> str:
        """The record's sha256."""
        return digest(canonical(self))

    @property
    def root(self) -> str:
        """The content root of the first output, which is Dagster's data version too."""
        return self.outputs[0].root

    @property
    def failed(self) -> list[str]:
        """The names of the blocking checks that failed."""
        return [
            check.name for check in self.checks if check.blocking and check.severity == "error" and not check.passed
        ]

    def output(self, name: str) -> Output:
        """Return the output called `name`."""
        for output in self.outputs:
            if output.name == name:
                return output
        raise LookupError(f"{self.place} has no output {name!r}; it has: {', '.join(o.name for o in self.outputs)}")


class File(Struct, frozen=True, kw_only=True):
    """A stored file: its address in the store and the sha256 of its bytes."""

    name: str
    address: str
    sha256: str
    size: int


class Cost(Struct, frozen=True, kw_only=True):
    """What making a record took: CPU and GPU time in s, the rows read and made, and the size of its files in bytes.

    CPU time is that of the whole process with all its threads, and of the children that it waited for.
    """

    cpu_s: float
    gpu_s: float = 0.0
    rows_in: int = 0
    rows_out: int = 0
    bytes_written: int = 0


class Envelope(Struct, frozen=True, kw_only=True):
    """Where and when a record was made, and what that took; outside its hash, itself hashed into the journal.

    An envelope from before costs were measured has none.
    """

    record: str
    files: list[File]
    at: str
    host: str
    run_id: str | None
    duration_s: str
    cost: Cost | None = None


def canonical(value: object) -> bytes:
    """Return canonical JSON (RFC 8785) of a struct or of JSON; non-finite numbers and huge integers become text."""
    return rfc8785.dumps(_plain(msgspec.to_builtins(value)))


def digest(data: bytes) -> str:
    """Return the sha256 of `data` as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def _plain(value: Json) -> Json:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53:
        return str(value)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value
