"""Nothing is wrongly promoted, whatever becomes of the evidence, in whatever order: a hundred thousand steps of it.

What is real and what a fake is said in `gate_world`; what is right is said by `gate_oracle`, which shares no code with
the product. GATE_STEPS says how many steps are taken: 2,000 if unset, always the same; more are drawn anew each time,
from seeds that are printed.
"""

import os
import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.records import BrokenEvidence
from mlops_assets.evidence.step import NotReady
from mlops_assets.product import Stage
from mlops_assets_tests.gate_life import PARTITIONS, PLACES, TAKEN
from mlops_assets_tests.gate_people import PROBLEMS, People
from mlops_assets_tests.gate_world import WINDOWS, Clock

STEPS = int(os.environ.get("GATE_STEPS", "2000"))
IN_A_ROW = 25
CHUNK = min(STEPS, 5_000)
SEEDS = [0] if STEPS <= 2000 else [random.SystemRandom().randrange(2**32) for _ in range(STEPS // CHUNK)]
FILES = ("head", "record", "pointer", "envelope", "model", "spec", "holdout", "ledger")
HEAD, HOLDOUT = FILES.index("head"), FILES.index("holdout")


class Decisions(People):
    """Decisions in the midst of it: alone, two at once, on what was tampered with, and while something happens."""

    @rule(partition=PARTITIONS, better=st.sampled_from((0, 3, 5, 7, 7, 9)))
    def bring_a_good_one(self, partition: str, better: int) -> None:
        self.good_but_for(partition, better, "")
        self.decided(partition, fresh=False)

    @rule(drawn=st.integers(0, 2**32))
    def bring_some_that_are_good_but_for_something(self, drawn: int) -> None:
        first = drawn + self.world.made  # drawn alone it would be 0 most of the time
        for number in range(first, first + 3):
            problem, partition = PROBLEMS[number % len(PROBLEMS)], f"{self.weakest()}|{WINDOWS[-1]}"
            self.good_but_for(partition, 9, problem)
            TAKEN[f"good but for {problem}"] += 1
            self.decided(partition, fresh=True)

    @rule(place=PLACES, fresh=st.booleans())
    def decide(self, place: int, fresh: bool) -> None:
        self.decided(self.any_partition(place), fresh=fresh)

    def decided(self, partition: str, *, fresh: bool) -> None:
        segment, record = partition.split("|")[0], self.heads.get(partition, "")
        self.truth.now_s = Clock.told.timestamp()
        has_to = bool(record) and self.truth.certain(record, segment)
        with suppress(NotReady, BrokenEvidence):
            self.world.step(fresh=fresh).make(partition)
        self.took("decision")
        assert not has_to or self.truth.champions.get(segment) == record, "nothing speaks against it, and yet"
        TAKEN["has to be promoted"] += has_to

    @rule(first=PLACES, second=PLACES)
    def prepare_two_then_decide_both(self, first: int, second: int) -> None:
        step, prepared = self.world.step(), list[Callable[[], object]]()
        for place in (first, second):
            with suppress(NotReady):
                ready = step.prepare(self.any_partition(place))
                prepared.append(lambda ready=ready: step.archive.make(ready.recipe, ready.inputs, ready.build))
        for make in prepared:
            with suppress(NotReady):
                make()
        self.took("race, one after the other")

    @rule(first=PLACES, second=PLACES)
    def decide_two_at_the_same_moment(self, first: int, second: int) -> None:
        gate, asked, problems = threading.Barrier(2), threading.local(), list[BaseException]()

        def wait() -> None:
            if not hasattr(asked, "once"):
                asked.once = True
                with suppress(threading.BrokenBarrierError):
                    gate.wait(10)

        def run(partition: str) -> None:
            try:
                self.world.step(fresh=True).make(partition)
            except (NotReady, BrokenEvidence):
                pass
            except BaseException as problem:  # a thread's own would be lost
                problems.append(problem)
            finally:
                gate.abort()

        self.world.meanwhile = wait
        threads = [threading.Thread(target=run, args=(self.any_partition(place),)) for place in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.world.meanwhile = None
        assert not problems, problems
        self.took("race of threads")

    @rule(
        place=PLACES,
        second=PLACES,
        what=st.sampled_from(("pause", "roll back", "decide", "decide", "clock", "reject")),
        good=st.booleans(),
        late=st.booleans(),
    )
    def decide_while_something_happens(self, place: int, second: int, what: str, good: bool, late: bool) -> None:
        """It happens when the model is asked or, `late`, when the decision is about to be entered in the ledger."""
        partition, other = self.any_partition(place), self.any_partition(second)
        if good:
            other = partition.split("|")[0] + "|" + other.split("|")[1]
            for each in (other, partition):
                self.good_but_for(each, 9, "")

        def happen() -> None:
            self.world.meanwhile = None
            if what == "pause":
                Archive(self.world.folder).ledger.add(self.world.act("pause"))
            elif what == "roll back":
                self.rolled_back(other.split("|")[0], None)
            elif what == "clock":
                Clock.told += timedelta(days=30)
            elif what == "reject" and partition in self.heads:
                self.enter(self.truth.models[self.heads[partition]], "reject", "ana", "")
            else:
                with suppress(NotReady):
                    self.world.step(fresh=True).make(other)

        late = late and what != "clock"  # what ends in that very moment may count
        self.world.meanwhile = None if late else happen
        with suppress(NotReady):
            self.world.step(before_move=happen if late else None).make(partition)
        self.world.meanwhile = None
        if what == "pause":
            self.world.archive.ledger.add(self.world.act("resume"))
        self.took(f"{what} while {'entered' if late else 'judged'}")

    @rule(
        place=PLACES,
        whose=st.sampled_from(("candidate", "champion")),
        which=st.integers(0, 7),
        how=st.sampled_from(("flipped", "cut", "gone", "another's")),
        byte=st.integers(0, 4000),
        bits=st.integers(1, 255),
    )
    @precondition(lambda self: self.heads)
    def decide_on_what_was_tampered_with(
        self, place: int, whose: str, which: int, how: str, byte: int, bits: int
    ) -> None:
        partition = self.any_partition(place)
        partition = partition if partition in self.heads else next(iter(self.heads))
        champion = self.truth.champions.get(partition.split("|")[0], "")
        record = champion if champion and whose == "champion" else self.heads[partition]
        path = self.files(partition, record)[which]
        if not path.exists():
            return
        before, others = path.read_bytes(), self.others(partition, which, path)
        damaged = {
            "flipped": lambda: bytes(each ^ bits * (at == byte % len(before)) for at, each in enumerate(before)),
            "cut": lambda: before[: byte % len(before)],
            "another's": lambda: others,
        }
        how = "flipped" if path == self.book.path else how  # what is left of a cut ledger may be sound
        path.unlink()
        if how in damaged:
            path.write_bytes(damaged[how]())
        changed = not path.exists() or path.read_bytes() != before
        with suppress(NotReady, BrokenEvidence):
            self.world.step(fresh=True).make(partition)
        assert path != self.book.path or len(path.read_bytes()) == len(before), "added to a ledger that is not whole"
        path.write_bytes(before)
        read = record == self.heads[partition] or which not in (HEAD, HOLDOUT)
        self.took(f"{FILES[which]} {how}", most=0 if changed and read else 1)

    def others(self, partition: str, which: int, path: Path) -> bytes:
        """The same file of another candidate, or this one if there is no other."""
        found = (self.files(at, held)[which] for at, held in self.heads.items() if at != partition)
        return next(found, path).read_bytes()

    def files(self, partition: str, record: str) -> list[Path]:
        """What a decision reads of a model, in the order of FILES."""
        home, held = self.world.folder, Archive(self.world.folder).held(record)
        kept, head = home / "records" / record[:2] / record, home / "heads" / "houses" / Stage.MODEL / partition
        pointer = kept.with_suffix(".envelope")
        envelope = home / "envelopes" / pointer.read_text()[:2] / pointer.read_text()
        return [head, kept, pointer, envelope, *(home / file.address for file in held.envelope.files), self.book.path]


@pytest.mark.chaos
@pytest.mark.parametrize("seed", SEEDS)
def test_no_candidate_is_promoted_that_should_not_be_and_each_that_has_to_be_is(seed: int):
    before = Counter(TAKEN)
    print(f"seed {seed}")
    settings = hypothesis.settings(
        max_examples=CHUNK // IN_A_ROW * 5 // 4,  # some end early
        stateful_step_count=IN_A_ROW,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],  # to shrink what fails takes minutes
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )

    run_state_machine_as_test(hypothesis.seed(seed)(Decisions), settings=settings)

    taken = TAKEN - before
    print(", ".join(f"{count} {what}" for what, count in sorted(taken.items())))
    assert taken["steps"] >= CHUNK
    assert taken["has to be promoted"] > CHUNK / 250  # else the rules could not be seen to hold
