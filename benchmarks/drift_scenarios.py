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

WORLDS = {"iid": IID, "jitter": JITTER, "season": SEASON, "heavy": HEAVY}
QUIET = (
    *(
        Scenario(name=f"false_alarm_{name}_{label}", world=world, rows=rows)
        for rows, label in ((FEW, "2k"), (MANY, "100k"))
        for name, world in WORLDS.items()
    ),
    Scenario(name="false_alarm_factors_2k", world=FACTORS, rows=FEW),
)
MOVED = (
    *(
        Scenario(name=f"power_shift_{shift}_{name}_2k", world=WORLDS[name], rows=FEW, change=Change(shift=shift))
        for name in ("iid", "jitter")
        for shift in (0.1, 0.2, 0.3, 0.5)
    ),
    *(
        Scenario(name=f"power_shift_{shift}_{name}_100k", world=WORLDS[name], rows=MANY, change=Change(shift=shift))
        for name in ("iid", "jitter")
        for shift in (0.1, 0.2)
    ),
    Scenario(name="power_shift_0.3_season_2k", world=SEASON, rows=FEW, change=Change(shift=0.3)),
    Scenario(name="power_shift_0.3_heavy_2k", world=HEAVY, rows=FEW, change=Change(shift=0.3)),
    Scenario(name="power_scale_1.3_jitter_2k", world=JITTER, rows=FEW, change=Change(scale=1.3)),
    Scenario(name="power_new_level_1%_jitter_2k", world=JITTER, rows=FEW, change=Change(new_level=0.01)),
    Scenario(name="power_missing_1%_jitter_2k", world=JITTER, rows=FEW, change=Change(missing=0.01)),
    Scenario(name="power_decoupled_factors_2k", world=FACTORS, rows=FEW, change=Change(decoupled=True)),
    Scenario(name="power_decoupled_pair_2k", world=PAIR, rows=FEW, change=Change(decoupled=True)),
)
