"""LightGBM's C function for one row: the number of `Booster.predict`, in a tenth of the time for a small model.

It is no part of what LightGBM promises to Python, so a version without it, or with another one, is no error here.
"""

import ctypes
import logging
import struct
import threading
import weakref
from collections.abc import Sequence
from math import nan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightgbm import Booster

_NORMAL, _FLOAT64, _ALL = 0, 1, -1
_log = logging.getLogger(__name__)


def single_row(model: bytes, features: int) -> "SingleRow | None":
    """Return what scores one row of a model's text; None, told in the log, if this LightGBM has no such function."""
    from lightgbm.basic import LightGBMError

    made = SingleRow(model, features)
    try:
        made([None] * features)
    except (AttributeError, LightGBMError, ctypes.ArgumentError) as problem:
        _log.warning("single rows are scored by Booster.predict, which is slower: %s", problem)
        return None
    return made


class SingleRow:
    """Scores one row of features at a time; each thread has buffers of its own."""

    def __init__(self, model: bytes, features: int) -> None:
        """Load the model's text."""
        from lightgbm import Booster

        self._booster = Booster(model_str=model.decode())
        self._classes = self._booster.num_model_per_iteration()
        self._features = features
        self._own = threading.local()

    def __call__(self, features: Sequence[object]) -> list[float]:
        """Return the score of each class, or the one score; a feature None is a missing value."""
        own: _Buffers | None = getattr(self._own, "buffers", None)
        if own is None:
            own = self._own.buffers = _Buffers(self._booster, self._features, self._classes)
        return own.score(features)


class _Buffers:
    """Input and output of one thread, and what LightGBM prepares once."""

    def __init__(self, booster: "Booster", features: int, classes: int) -> None:
        from lightgbm.basic import _LIB, _safe_call  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]

        self._row = (ctypes.c_double * features)()
        self._pack = struct.Struct(f"{features}d").pack_into
        self._out = (ctypes.c_double * classes)()
        self._length = ctypes.c_int64()
        self._config = ctypes.c_void_p()
        self._booster = booster
        self._call = _LIB.LGBM_BoosterPredictForMatSingleRowFast
        self._checked = _safe_call
        self._arguments = (
            self._config,
            ctypes.byref(self._row),
            ctypes.byref(self._length),
            ctypes.byref(self._out),
        )
        self._checked(
            _LIB.LGBM_BoosterPredictForMatSingleRowFastInit(
                booster._handle,  # pyright: ignore[reportPrivateUsage]
                ctypes.c_int(_NORMAL),
                ctypes.c_int(0),
                ctypes.c_int(_ALL),
                ctypes.c_int(_FLOAT64),
                ctypes.c_int32(features),
                ctypes.c_char_p(b"num_threads=1"),
                ctypes.byref(self._config),
            )
        )
        weakref.finalize(self, _LIB.LGBM_FastConfigFree, self._config)

    def score(self, features: Sequence[object]) -> list[float]:
        try:
            self._pack(self._row, 0, *features)
        except struct.error:  # a value is missing; or it is no number, which the second time says
            self._pack(self._row, 0, *[nan if value is None else value for value in features])
        self._checked(self._call(*self._arguments))
        return self._out[:]
