"""One deployment in which decisions are made: archive, ledger, people, signatures, gate and step are the real ones.

Fakes are the models, which say for each held-out row whether they get it right, the measuring of criteria, and the
clock. What the gate is told of a model goes through `evidence_of` and `measured`; there a test puts flaws into it. What
is to happen while a candidate is judged happens when its model is asked.
"""

import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from hashlib import sha256
from pathlib import Path
from typing import Literal, Self

import msgspec
import numpy as np
import polars as pl
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mlops_assets.evidence.archive import Archive, Built, Held
from mlops_assets.evidence.code import code_id
from mlops_assets.evidence.ledger import Act, ActKind, Ledger, stamp
from mlops_assets.evidence.records import Check, Json, Place, Recipe
from mlops_assets.evidence.signed import public_text
from mlops_assets.parts import Label, Source
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.registry import scored
from mlops_assets.registry.criteria.declared import declared
from mlops_assets.registry.gate import Claim, Evidence
from mlops_assets.registry.step import ChampionStep
from mlops_assets.rules import Approval, Gate
from mlops_assets.settings import Settings
from mlops_assets.training.model import Matrix, ModelSpec, Predictor, encode_spec
from mlops_assets.windows import Grid
from mlops_assets_tests.gate_oracle import ROWS

START = datetime(2026, 1, 5)
SEGMENTS = ("bath", "ely", "york")
WINDOWS = tuple(f"{START + timedelta(days=day):%Y-%m-%d}" for day in range(5))
HOLDOUT = pl.DataFrame(
    {
        "_key": [f"row-{row}" for row in range(ROWS)],
        "_time": [START + timedelta(minutes=row) for row in range(ROWS)],
        "_label": [row % 2 for row in range(ROWS)],
        "place": range(ROWS),
    }
)
SPEC = encode_spec(ModelSpec(kind="lightgbm", task="binary", classes=["0", "1"], features=["place"]))
Sound = Literal["sound", "unchecked", "failed", "nan", "infinite", "short", "raises"]


OWN = "trained_on_named_rows"
NEEDED = ("business", "risk")
PEOPLE = ("ana", "ben", "cat", "dan", "eve")
KEYS = {who: Ed25519PrivateKey.from_private_bytes(sha256(who.encode()).digest()) for who in PEOPLE}


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """A stored model: the rows that it gets wrong, and how its scores are broken."""

    number: int
    wrong: list[int]
    sound: Sound


class Clock(datetime):
    """The time, as the product's modules are told it."""

    told: datetime = START.replace(tzinfo=UTC)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls.fromisoformat(Clock.told.astimezone(tz).isoformat())


class Interrupted(Ledger):
    """A ledger in which something happens just before a champion is moved."""

    def __init__(self, path: Path, happen: Callable[[], None]) -> None:
        super().__init__(path)
        self._happen = happen

    def move_champion(self, act: Act, *, expected: int | None) -> Act:
        self._happen()
        return super().move_champion(act, expected=expected)


@dataclass
class World:
    """`houses` with three segments and five windows, below `folder`."""

    folder: Path
    margin: float
    approval: bool
    archive: Archive = field(init=False)
    flaws: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    meanwhile: Callable[[], None] | None = None
    made: int = 0

    def __post_init__(self) -> None:
        self.settings = Settings(
            home=self.folder, root=self.folder, defs=self.folder, dagster_home=self.folder, mlflow_uri="", ui_url=""
        )
        self.product = ModelProduct(
            name="houses",
            source=Source(path="houses.csv", time="seen", key="id", segment="town"),
            label=Label(column="sold"),
            segments=SEGMENTS,
            windows=Grid(every="day", start=START),
            features=("place",),
            gate=Gate(metric="accuracy", floor=0.6, margin=self.margin, calibration=0.5),
            approval=Approval(roles=NEEDED) if self.approval else None,
        )
        self.reload()

    def reload(self) -> None:
        """Forget all that was read: everything comes from disk again."""
        self.archive = Archive(self.folder)

    def people(self, roles: Mapping[str, Collection[str]]) -> None:
        """Write who has which roles today."""
        people = {who: {"key": public_text(KEYS[who]), "roles": sorted(mine)} for who, mine in roles.items()}
        self.folder.mkdir(exist_ok=True)
        (self.folder / "people.yaml").write_text(yaml.safe_dump({"people": people}))

    def trained(self, partition: str, model: Answers, version: int | None, asked_by: str) -> Held:
        """Keep a model's record, which is the partition's newest, and register it if it has a version."""
        self.made += 1
        passed = Check(name=OWN, passed=model.sound != "failed")
        built = Built(
            outputs={"model": (msgspec.json.encode(model), "txt"), "spec": (SPEC, "json"), "holdout": HOLDOUT},
            checks=() if model.sound == "unchecked" else (passed,),
        )
        place = Place(product="houses", stage=Stage.MODEL, partition=partition)
        held = self.archive.make(Recipe(place=place, seed=self.made, code="code"), [], lambda: built)
        if version is not None:
            facts: dict[str, Json] = {"window": partition.partition("|")[2], "asked_by": [asked_by] if asked_by else []}
            act = self.act("register", segment=partition.split("|")[0], version=version, record=held.id, facts=facts)
            self.archive.ledger.register(act)
        return held

    def step(self, *, fresh: bool = False, before_move: Callable[[], None] | None = None) -> ChampionStep:
        archive = Archive(self.folder) if fresh or before_move else self.archive
        if before_move is not None:
            archive.ledger = Interrupted(self.folder / "ledger.jsonl", before_move)
        return ChampionStep(product=self.product, archive=archive, settings=self.settings)

    def act(
        self,
        kind: ActKind,
        *,
        segment: str | None = None,
        version: int | None = None,
        record: str | None = None,
        by: str = "somebody",
        at: datetime | None = None,
        facts: dict[str, Json] | None = None,
    ) -> Act:
        return Act(
            kind=kind,
            product="houses",
            segment=segment,
            version=version,
            record=record,
            by=by,
            reason="r",
            at=stamp(at or Clock.now(UTC)),
            facts=facts or {},
        )

    def asked(self, spec: ModelSpec, model_bytes: bytes) -> Predictor:
        """Load a model: the fake behind the trainers' port."""
        model = msgspec.json.decode(model_bytes, type=Answers)
        broken = {"nan": np.nan, "infinite": np.inf}

        def predict(matrix: Matrix) -> Matrix:
            if self.meanwhile is not None:
                self.meanwhile()
            if model.sound == "raises":
                raise ValueError("no such model")
            places = matrix[:, 0].astype(int)
            right = ~np.isin(places, model.wrong)
            scores = np.where(right == (places % 2 == 1), 0.9, 0.1)
            scores[0] = broken.get(model.sound, scores[0])
            return scores[:-1] if model.sound == "short" else scores

        return predict

    def told(self, found: Evidence) -> Evidence:
        """Return what the gate hears of a model: the evidence that there is, with its flaws."""
        flaws = self.flaws.get(found.record, {})
        rows = f"others than {found.record}" if "rows" in flaws else found.rows
        scores = None if "scores" in flaws else found.scores
        return replace(found, claims=self._flawed(found.claims, found.made), rows=rows, scores=scores)

    def measured(self, subject: object, product: ModelProduct, record: str, at: datetime) -> tuple[Claim, ...]:
        """Return the declared criteria, all of them met but for the flaws."""
        claims = tuple(Claim(name=name, record=record, passed=True, at=at) for name in declared(product))
        return self._flawed(claims, datetime.fromisoformat(self.archive.held(record).envelope.at))

    def _flawed(self, claims: tuple[Claim, ...], made: datetime) -> tuple[Claim, ...]:
        changed = {
            "failed": lambda claim: replace(claim, passed=False),
            "stale": lambda claim: replace(claim, at=made - timedelta(milliseconds=1)),
            "foreign": lambda claim: replace(claim, record="f" * 64),
        }
        told = [(claim, self.flaws.get(claim.record, {}).get(claim.name, "")) for claim in claims]
        return tuple(changed[flaw](claim) if flaw in changed else claim for claim, flaw in told if flaw != "removed")


@contextmanager
def world(folder: Path, *, margin: float, approval: bool) -> Iterator[World]:
    """A world whose fakes are in place until the block ends."""
    made, real = World(folder, margin, approval), scored.evidence_of
    code_id("mlops_assets.registry.scored")  # once, since hypothesis and threads disturb the parsing of code
    Clock.told = START.replace(tzinfo=UTC)
    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith(("mlops_assets.evidence", "mlops_assets.registry")) and hasattr(module, "datetime"):
                patch.setattr(module, "datetime", Clock)
        patch.setattr(scored, "load_predictor", made.asked)
        patch.setattr(scored, "known_rows", lambda *_: HOLDOUT)
        patch.setattr(scored, "evidence_of", lambda *known: made.told(real(*known)))
        patch.setattr(scored, "measured", made.measured)
        yield made
