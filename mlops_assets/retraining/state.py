"""What a retraining decision depends on: who serves, what is open, what could be learned, what holds it back."""

from datetime import datetime

import msgspec

from mlops_assets.evidence.records import Struct
from mlops_assets.retraining.alarms import Alarm


class Champion(Struct, frozen=True, kw_only=True):
    """The model that serves, the window it was trained on, and each feature's share of its importance.

    `made` is the product's time at which it was trained (None: unknown), `changed` what of its recipe is no longer so:
    trainer, features, code.
    """

    version: int
    window: str
    importance: dict[str, float]
    made: datetime | None = None
    changed: tuple[str, ...] = ()


class Labelled(Struct, frozen=True, kw_only=True):
    """The newest training window with matured labels. `trained`: a candidate of this very recipe exists already.

    `rows` are the labelled rows up to it that are newer than those the champion learned from. `end` is None for a
    product without windows: all its data is in one. `idle` says that a training would mend nothing, if that is known.
    """

    window: str
    rows: int
    end: datetime | None
    trained: bool
    idle: str | None = None


class Ask(Struct, frozen=True, kw_only=True):
    """A person's wish for a training, until one answers it: `id` is the hash of the act in the ledger."""

    id: str
    by: str
    reason: str


class LoopState(Struct, frozen=True, kw_only=True):
    """All that a decision depends on. `attempts` counts failed candidates per alarm, `paused` is the reason given.

    `on_trial` names the candidate that is on its way to become champion.
    `trainings` are the times of the latest trainings that were decided on, oldest first; `failed_runs` is how often the
    run of the latest one failed, once it is not tried again.
    """

    product: str
    segment: str
    now: datetime
    alarms: tuple[Alarm, ...]
    champion: Champion | None
    labelled: Labelled | None
    labels_window: str | None = None
    labels_due: datetime | None = None
    last_retrain: datetime | None = None
    trainings: tuple[datetime, ...] = ()
    attempts: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    asks: tuple[Ask, ...] = ()
    failed_runs: int = 0
    running: bool = False
    paused: str | None = None
    on_trial: str | None = None
