"""What goes on around decisions, as steps of a machine: trainings, people, clocks; evidence that changes or is lost."""

import tempfile
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from mlops_assets.evidence.archive import Archive
from mlops_assets.serving.ramp import acts
from mlops_assets_tests.gate_book import Book
from mlops_assets_tests.gate_oracle import ROWS, Model, Truth
from mlops_assets_tests.gate_world import (
    NEEDED,
    OWN,
    SEGMENTS,
    WINDOWS,
    Answers,
    Clock,
    Sound,
    World,
    world,
)

PARTITIONS = st.builds("{}|{}".format, st.sampled_from(SEGMENTS), st.sampled_from(WINDOWS))
PLACES = st.integers(0, 99)
ROLES = {"ana": {"business"}, "ben": {"risk"}, "cat": {"business", "risk", "waiver"}, "dan": {"waiver"}}
TAKEN: Counter[str] = Counter()
FLAWS = ("removed", "failed", "stale", "foreign")
OFTEN_NOTHING = ("", "", "", "", "", "")


class Life(RuleBasedStateMachine):
    """A world in which things happen, beside what is true of it; after each step the ledger is read anew."""

    def __init__(self) -> None:
        super().__init__()
        self.cleanup = ExitStack()
        self.folder = Path(self.cleanup.enter_context(tempfile.TemporaryDirectory()))

    @initialize(margin_rows=st.sampled_from((0.0, 1.2)), approval=st.sampled_from((True, True, False)))
    def begin(self, margin_rows: float, approval: bool) -> None:
        opened = world(self.folder / "home", margin=margin_rows / ROWS, approval=approval)
        self.world: World = self.cleanup.enter_context(opened)
        self.world.people(ROLES)
        roles = {who: set(mine) for who, mine in ROLES.items()}
        self.truth = Truth(margin_rows=margin_rows, needed=NEEDED if approval else (), roles=roles)
        self.book = Book(path=self.world.folder / "ledger.jsonl")
        self.heads: dict[str, str] = {}
        self.versions = 0

    def teardown(self) -> None:
        with self.cleanup:
            if hasattr(self, "book"):
                assert len(self.book.whole()) == self.book.number

    @rule(
        partition=PARTITIONS,
        wrong=st.sampled_from((0, 2, 4, 6, 8, 9, 10, 12, 16, 16, 17, 24)),
        first=st.sampled_from((0, 0, 5, 20)),
        sound=st.sampled_from((*["sound"] * 15, "unchecked", "failed", "nan", "infinite", "short", "raises")),
        known=st.sampled_from((True, True, True, True, False)),
        asked_by=st.sampled_from((*OFTEN_NOTHING, "ana", "cat")),
    )
    def train(self, partition: str, wrong: int, first: int, sound: Sound, known: bool, asked_by: str) -> None:
        self.trained(partition, wrong, first=first, sound=sound, known=known, asked_by=asked_by)
        self.took("training")

    def trained(
        self,
        partition: str,
        wrong: int,
        *,
        first: int = 0,
        sound: Sound = "sound",
        known: bool = True,
        asked_by: str = "",
    ) -> None:
        self.versions += known
        version, places = self.versions if known else None, frozenset((first + row) % ROWS for row in range(wrong))
        model = Answers(number=self.world.made, wrong=sorted(places), sound=sound)
        held = self.world.trained(partition, model, version, asked_by)
        segment, _, window = partition.partition("|")
        self.heads[partition] = held.id
        self.truth.models[held.id] = Model(
            record=held.id,
            version=version,
            segment=segment,
            window=window,
            wrong=places,
            made_s=Clock.told.timestamp(),
            asked_by=asked_by,
            unsound=sound != "sound",
        )

    @rule(
        place=PLACES,
        claim=st.sampled_from((OWN, "features_are_equal", "calibration", "calibration", "scores", "rows")),
        flaw=st.sampled_from((*FLAWS, "", "")),
    )
    @precondition(lambda self: self.heads)
    def change_evidence(self, place: int, claim: str, flaw: str) -> None:
        model = self.any_model(place)
        model.flaws = {name: found for name, found in {**model.flaws, claim: flaw}.items() if found}
        self.world.flaws[model.record] = dict(model.flaws)
        self.took(f"evidence {flaw or 'mended'}")

    @rule(
        what=st.sampled_from(("clock", "clock", "reload", "reload", "pause", "resume", "resume", "rollback", "people")),
        hours=st.sampled_from((-48, -1, 1, 1, 48, 400)),
        segment=st.sampled_from(SEGMENTS),
        to=st.none() | st.integers(1, 9),
        who=st.sampled_from(tuple(ROLES)),
        roles=st.sampled_from((None, None, set(), {"business"}, {"risk"})),
    )
    def meddle(self, what: str, hours: int, segment: str, to: int | None, who: str, roles: set[str] | None) -> None:
        if what == "clock":
            Clock.told += timedelta(hours=hours)
        elif what == "reload":
            self.world.reload()
        elif what in ("pause", "resume"):
            self.world.archive.ledger.add(self.world.act("pause" if what == "pause" else "resume"))
        elif what == "rollback":
            self.rolled_back(segment, to)
        else:
            self.truth.roles[who] = set(ROLES[who] if roles is None else roles)
            self.world.people(self.truth.roles)
        self.took(what)

    def rolled_back(self, segment: str, to: int | None) -> None:
        ledger, product = Archive(self.world.folder).ledger, self.world.product
        target = acts._earlier(ledger, product, segment, to)  # pyright: ignore
        if target is not None:
            acts._moved(ledger, product, target, "ops", "r")  # pyright: ignore

    def any_model(self, place: int) -> Model:
        """One of the newest models."""
        models = list(self.truth.models.values())[-4:]
        return models[place % len(models)]

    def weakest(self) -> str:
        """The segment whose champion is wrong most often, first one without any."""
        models = {segment: self.truth.models.get(self.truth.champions.get(segment, "")) for segment in SEGMENTS}
        return max(models, key=lambda segment: ROWS if (found := models[segment]) is None else len(found.wrong))

    def any_partition(self, place: int) -> str:
        """One that has a candidate, or in one of ten cases any."""
        newest = [partition for partition, record in self.heads.items() if record in list(self.truth.models)[-4:]]
        every = [f"{segment}|{window}" for segment in SEGMENTS for window in WINDOWS]
        return (newest or every)[place % len(newest or every)] if place % 10 else every[place // 10]

    def took(self, what: str, most: int = 1) -> None:
        """Read what is new in the ledger: of each segment at most one promotion, and that one right."""
        TAKEN.update(("steps", what))
        self.truth.now_s = Clock.told.timestamp()
        promoted: Counter[str] = Counter()
        for body in self.book.news():
            kind, segment, record = (str(body.get(name)) for name in ("kind", "segment", "record"))
            if kind == "promote":
                objection = self.truth.objection(record, segment)
                assert not objection, f"promoted although {objection}"
                promoted[segment] += 1
            if kind == "rollback":
                self.truth.withdrawn.add(self.truth.champions[segment])
                self.truth.withdrawn.discard(record)
            if kind in ("promote", "rollback"):
                self.truth.champions[segment] = record
            if kind in ("pause", "resume"):
                self.truth.paused = kind == "pause"
            TAKEN[f"ledger: {kind}"] += 1
        assert all(count <= most for count in promoted.values()), f"{promoted} promotions where {most} may be"
