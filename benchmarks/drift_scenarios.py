"""The scenarios of the drift benchmark: what is ordinary and must not alarm, and what has changed and must."""

from benchmarks.drift_watch import Scenario
from benchmarks.drift_worlds import Change, World

FEW, MANY = 2_000, 100_000
IID = World()
JITTER = World(jitter=0.05)
HEAVY = World(jitter=0.05, heavy=True)
SEASON = World(jitter=0.02, season=0.3)
FACTORS = World(jitter=0.05, factors=True)
PAIR = World(jitter=0.05, pair=0.5)

WORLDS = {"iid": IID, "jitter": JITTER, "season": SEASON, "heavy": HEAVY, "factors": FACTORS, "pair": PAIR}
SIZES = {"2k": FEW, "100k": MANY}
CHANGES = {
    **{f"shift_{shift}": Change(shift=shift) for shift in (0.1, 0.2, 0.3, 0.5)},
    "scale_1.3": Change(scale=1.3),
    "new_level_1%": Change(new_level=0.01),
    "missing_1%": Change(missing=0.01),
    "decoupled": Change(decoupled=True),
}


def _quiet(world: str, size: str) -> Scenario:
    return Scenario(name=f"false_alarm_{world}_{size}", world=WORLDS[world], rows=SIZES[size])


def _moved(change: str, world: str, size: str = "2k") -> Scenario:
    name = f"power_{change}_{world}_{size}"
    return Scenario(name=name, world=WORLDS[world], rows=SIZES[size], change=CHANGES[change])


SHARED = (  # with the peers
    *(_quiet(world, "2k") for world in ("iid", "jitter", "season", "heavy", "factors")),
    *(_moved(f"shift_{shift}", "iid") for shift in (0.1, 0.2)),
    *(_moved(f"shift_{shift}", "jitter") for shift in (0.1, 0.2, 0.3, 0.5)),
    _moved("shift_0.3", "season"),
    *(_moved(change, "jitter") for change in ("scale_1.3", "new_level_1%", "missing_1%")),
    _moved("decoupled", "factors"),
)
OURS = (
    _quiet("pair", "2k"),
    *(_quiet(world, "100k") for world in ("iid", "jitter", "season", "heavy")),
    *(_moved(f"shift_{shift}", "iid") for shift in (0.3, 0.5)),
    *(_moved(f"shift_{shift}", world, "100k") for world in ("iid", "jitter") for shift in (0.1, 0.2)),
    _moved("shift_0.3", "heavy"),
    _moved("decoupled", "pair"),
)
