"""A model's record -> the model trained again on the very inputs that it names, and what of it is the same."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from mlops_assets.evidence.archive import Archive, Built, Held
from mlops_assets.evidence.code import libraries, origin
from mlops_assets.evidence.content import content_root
from mlops_assets.evidence.records import Json, Record, canonical, digest
from mlops_assets.rules import Trainer
from mlops_assets.training.built import built
from mlops_assets.training.machine import Machine
from mlops_assets.training.plan import Plan
from mlops_assets.training.step import recipe_code

OUTPUTS = ("model", "spec", "reference", "history", "holdout")


class CannotReplay(ValueError):
    """What a record tells cannot be made again here; the message says why, and where it could."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What is the same as recorded, and what differs, a line each."""

    same: list[str]
    differs: list[str]


def retrained(archive: Archive, held: Held) -> Compared:
    """Return what a training of the recorded inputs, parameters and seed makes, beside what is recorded.

    Of a search only its winner is trained again.

    Raises:
        CannotReplay: If code, libraries or the machine are not those of the record.
        BrokenEvidence: If an input is missing or changed.
    """
    record = held.record
    plan = _plan(record)
    _check_code(record, plan)
    inputs = [archive.held(each.record) for each in record.inputs]
    frames = [archive.table(each, "features") for each in inputs]
    try:
        again = built(_won(plan, record), inputs, frames, _machine(plan, record), record.seed)
    except (ValueError, ModuleNotFoundError) as problem:
        raise CannotReplay(f"{record.place}: {problem}") from problem
    return _compared(record, again)


def _plan(record: Record) -> Plan:
    if "trainer" not in record.params:
        raise CannotReplay(f"{record.place}: how it was trained is not recorded")
    try:
        return Plan.model_validate({name: value for name, value in record.params.items() if name in Plan.model_fields})
    except ValueError as problem:
        raise CannotReplay(f"{record.place} was made by other code ({_origin(record)})") from problem


def _check_code(record: Record, plan: Plan) -> None:
    """Compare first what other bytes are to be expected of."""
    try:
        here = recipe_code(plan)
    except ModuleNotFoundError as problem:
        raise CannotReplay(f"{record.place}: {problem}, and its trainer is one of it") from problem
    if here == record.code.id:
        return
    then, now = msgspec.convert(record.facts.get("libraries", {}), dict[str, str]), libraries(*plan.own_modules)
    changed = [
        f"{name} {then.get(name, 'absent')} (here {now.get(name, 'absent')})"
        for name in {**then, **now}
        if then.get(name) != now.get(name)
    ]
    made = f"made with {', '.join(changed)}" if changed else "made by other code"
    raise CannotReplay(f"{record.place} was {made}: {_origin(record)}; right is that code with its constraints.txt")


def _origin(record: Record) -> str:
    """Return from where the code came that made a record, and from where the code here does."""
    then, now = (
        f"commit {(code.commit or 'unknown')[:12]}{' and changes to it' if code.dirty else ''}"
        for code in (record.code, origin(""))
    )
    image = f" of image {record.code.image}" if record.code.image else ""
    return f"{then}{image}, here {now}"


def _won(plan: Plan, record: Record) -> Plan:
    """Return the plan with the winner of the search as its trainer."""
    trials = msgspec.convert(record.facts.get("search", []), list[dict[str, Json]])
    won = next((trial for trial in trials if trial.get("won")), None)
    if won is None:
        return plan
    trainer = Trainer.model_validate({**plan.trainer.model_dump(), "kind": won["trainer"], "params": won["params"]})
    return plan.model_copy(update={"search": None, "trainer": trainer})


def _machine(plan: Plan, record: Record) -> Machine:
    """Return a machine as the record's was: with as many GPUs as were used, which may be fewer than were asked for."""
    device = str(_params(record.facts).get("device", ""))
    if device.startswith("cpu"):
        return Machine()
    count = re.match(r"cuda x (\d+)", device)
    return Machine(gpus=int(count[1]) if count else 1 if device else plan.gpus)


def _params(facts: Mapping[str, Json]) -> dict[str, Json]:
    return msgspec.convert(facts["trainer_params"], dict[str, Json])


def _compared(record: Record, again: Built) -> Compared:
    same: list[str] = []
    differs: list[str] = []
    for name in OUTPUTS:
        output, then = again.outputs[name], record.output(name).root
        now = digest(output[0]) if isinstance(output, tuple) else content_root(output)
        size = f"{len(output[0]):,} bytes" if isinstance(output, tuple) else f"{output.height:,} rows"
        if now == then:
            same.append(f"{name}: {size}, sha256 {now[:12]}…")
        else:
            differs.append(f"{name}: sha256 {then[:12]}… became {now[:12]}…, {size}")
    facts: dict[str, Json] = msgspec.json.decode(canonical(again.facts))
    then, now = ({**each, "trainer_params": {**_params(each), "device": ""}} for each in (record.facts, facts))
    differs += [f"{name} was {then[name]}, is {now[name]}" for name in now if name in then and then[name] != now[name]]
    return Compared(same=same, differs=differs)
