"""People with keys of their own, and what they sign."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from mlops_assets.evidence.ledger import Act, ActKind, stamp
from mlops_assets.evidence.records import Json
from mlops_assets.evidence.signed import ASSERTED, new_key, read_key, sign

ROLES = {"ana": ("business",), "joe": ("risk", "business"), "kim": ("risk",), "eve": (), "ward": ("waiver", "risk")}


@dataclass(frozen=True, kw_only=True)
class Signers:
    """The people in `<defs>/people.yaml`, whose private keys are in `folder`."""

    folder: Path
    defs: Path

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def signed(self, act: Act) -> Act:
        """Return `act` signed by the person that it names."""
        return sign(act, read_key(self.key(act.by)))

    def declare(self, roles: dict[str, tuple[str, ...]], keys: dict[str, str] | None = None) -> None:
        """Write the people file; `keys` gives some of them another key."""
        public = {name: (self.folder / f"{name}.pub").read_text() for name in roles} | (keys or {})
        lines = [f'  {name}: {{key: "{public[name]}", roles: [{", ".join(mine)}]}}' for name, mine in roles.items()]
        self.defs.mkdir(parents=True, exist_ok=True)
        (self.defs / "people.yaml").write_text("\n".join(["people:", *lines]) + "\n")


def signers(folder: Path, defs: Path) -> Signers:
    """Return people with new keys, declared with their roles."""
    made = Signers(folder=folder, defs=defs)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ROLES:
        (folder / f"{name}.pub").write_text(new_key(made.key(name)))
    made.declare(ROLES)
    return made


def act(
    kind: ActKind, by: str, at: datetime, *, record: str = "r", until: timedelta | None = None, **facts: Json
) -> Act:
    """Return an act of `by` on version 1 of the product `houses`, not signed."""
    ends: dict[str, Json] = {"until": stamp(at + until)} if until is not None else {}
    return Act(
        kind=kind,
        product="houses",
        segment="bath",
        version=1,
        record=record,
        by=by,
        reason=f"{kind} by {by}",
        at=stamp(at),
        facts={**facts, **ends},
    )


def asserted(name: str) -> str:
    return f"{name}{ASSERTED}"
