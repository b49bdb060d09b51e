"""The kinds of network by name, and the parameters that each of them has."""

import math

from mlops_assets.training.fitting import Params
from mlops_assets.training.networks.convolution import CONVOLUTION, SIZE
from mlops_assets.training.networks.forms import Architecture, Form
from mlops_assets.training.networks.perceptron import PERCEPTRON

FORMS = {"perceptron": PERCEPTRON, "convolution": CONVOLUTION}
PARAMS = tuple(dict.fromkeys(("network", *SIZE, *(name for form in FORMS.values() for name in form.defaults))))
_LEAST = {"layers": 0}  # of a whole number; of the others it is 1


def form_of(architecture: Architecture) -> Form:
    """Return the kind of network that has this shape."""
    return FORMS[str(architecture["family"])]


def chosen(params: Params) -> tuple[Form, dict[str, int | float | str | bool]]:
    """Return the kind of network that `params` name, and all parameters that it is trained with.

    Raises:
        ValueError: If there is no such network, it has no such parameter, or one is no number for it.
    """
    kind = str(params.get("network", "perceptron"))
    if kind not in FORMS:
        raise ValueError(f"no network {kind!r}; known networks: {', '.join(FORMS)}")
    form = FORMS[kind]
    known = {**form.defaults, **(dict.fromkeys(SIZE, 1) if form is CONVOLUTION else {})}
    for name, value in params.items():
        if name != "network":
            if name not in known:
                raise ValueError(f"a {kind} has no parameter {name!r}; known: network, {', '.join(sorted(known))}")
            _check(name, value, whole=isinstance(known[name], int))
    return form, {"network": kind, **form.defaults, **params}


def _check(name: str, value: float | str | bool, *, whole: bool) -> None:
    least = _LEAST.get(name, 1) if whole else 0
    number = float("nan") if isinstance(value, bool | str) else float(value)
    if not math.isfinite(number) or number < least or (whole and not number.is_integer()):
        raise ValueError(f"{name} is {value!r}; right is a {'whole ' if whole else ''}number, {least} or more")
