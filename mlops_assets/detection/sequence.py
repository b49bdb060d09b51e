"""Windows in a row -> evidence that something has moved and stays moved, too little to be seen in any one of them.

Per component and direction a likelihood ratio against a shift of 2 or 3 times the noise is multiplied up from
window to window, starting anew at each (Shiryaev, Theory Probab. Appl. 8, 1963; Roberts, Technometrics 8, 1966). Their
weighted mean is an e-detector (Shin, Ramdas and Rinaldo, New England J. Stat. Data Sci. 2, 2024): while nothing moves
it first reaches A after A windows on average, whatever the components have to do with each other. Smaller shifts are
not looked for: the reference's own mean is known only that well. One window alone can never reach A.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlops_assets.detection.components import Component
from mlops_assets.evidence.records import Struct

ARL = 1_000  # windows between false alarms, on average
SHIFTS = np.array([-3.0, -2.0, 2.0, 3.0])  # in units of noise
REACH = 3.5  # a window counts as this far out at most: noise with heavy tails is no evidence of anything lasting
NAMED = 0.1  # of the alarm's height from which a component counts as one that moved

Floats = NDArray[np.float64]


class Evidence(Struct, frozen=True, kw_only=True):
    """What windows so far say, per component and shift, shape (components, 4), and for how many windows each does."""

    bins: str
    components: list[str]
    heights: list[list[float]]
    ages: list[list[int]]


def gathered(carried: Evidence | None, scores: Floats, found: Sequence[Component], bins: str) -> Evidence:
    """Return the evidence after one more window, whose `scores` are normal, shape (components,), if nothing moved."""
    weights = np.array([component.weight for component in found])[:, None] / len(SHIFTS)
    names, nothing = _names(found), [0] * len(SHIFTS)
    known = carried if carried and carried.bins == bins else None
    places = {name: i for i, name in enumerate(known.components)} if known else {}
    heights = np.array(
        [known.heights[places[n]] if known and n in places else nothing for n in names], dtype=np.float64
    )
    ages = np.array([known.ages[places[n]] if known and n in places else nothing for n in names], dtype=np.int64)
    raised, aged = multiplied(heights, ages, scores[:, None], SHIFTS, weights)
    return Evidence(bins=bins, components=names, heights=raised.tolist(), ages=aged.tolist())


def multiplied(
    heights: Floats, ages: NDArray[np.int64], scores: Floats, shifts: Floats, weights: Floats
) -> tuple[Floats, NDArray[np.int64]]:
    """Return heights and ages after one more window, whose standard normal `scores` may have moved by `shifts`.

    Heights are bounded, so that they can also fall again, and have six digits: what is stored is what the next window
    goes on from.
    """
    near = np.clip(scores, -REACH, REACH)
    risen = (heights + 1) * np.exp(shifts * near - shifts**2 / 2)
    capped = np.minimum(risen, 2 * ARL / np.maximum(weights, 1e-12))
    short = np.array([float(f"{value:.6g}") for value in capped.ravel()]).reshape(capped.shape)
    return short, np.where(heights >= 1, ages + 1, 1)


def height(evidence: Evidence, found: Sequence[Component]) -> float:
    """Return the evidence of all components together; from `ARL` on it is an alarm."""
    return float(_shares(evidence, found).sum())


def risen(evidence: Evidence, found: Sequence[Component]) -> list[tuple[int, int]]:
    """Return (place, windows) of the components that carry the evidence, the strongest first."""
    shares = _shares(evidence, found)
    best = shares.argmax(axis=1)
    ranked: list[int] = np.argsort(-shares.max(axis=1)).tolist()
    return [(i, evidence.ages[i][int(best[i])]) for i in ranked if shares[i].max() >= NAMED * ARL]


def _names(found: Sequence[Component]) -> list[str]:
    """Return a name per component; one may be there in some windows only, such as a level or what inputs share."""
    seen: Counter[str] = Counter()
    names: list[str] = []
    for name in (f"{each.column} {each.what}" for each in found):
        names.append(f"{name} {seen[name]}")
        seen[name] += 1
    return names


def _shares(evidence: Evidence, found: Sequence[Component]) -> Floats:
    weights = np.array([component.weight for component in found])[:, None] / len(SHIFTS)
    return np.array(evidence.heights) * weights
