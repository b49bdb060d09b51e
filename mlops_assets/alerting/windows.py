"""What current records say -> alerts: drift and other warnings of live windows by episode, failed checks by partition.

An episode is a run of windows of one segment that show the same thing. A window that is fine ends it, one that cannot
tell does not; a new model ends it too, since nothing has been said about that one yet.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from mlops_assets.alerting.alert import Alert, Found, asset_link
from mlops_assets.alerting.heads import LIVE, Head, Heads, StageHeads
from mlops_assets.evidence.step import parse
from mlops_assets.product import Stage

NONE = StageHeads(0, {})


@dataclass(frozen=True, kw_only=True)
class Episode:
    """Windows in a row, oldest first, that show `kind`; `over` if it has ended."""

    kind: str
    windows: tuple[tuple[str, Head], ...]
    over: bool


def episodes(windows: list[tuple[str, Head]], champion: int | None) -> list[Episode]:
    """Return the episodes in a segment's windows (oldest first) of one stage, whose champion is `champion` now."""
    running: dict[str, list[tuple[str, Head]]] = {}
    found: list[Episode] = []

    def end(kinds: list[str]) -> None:
        found.extend(Episode(kind=kind, windows=tuple(running.pop(kind)), over=True) for kind in kinds)

    for window, head in windows:
        shown = {kind for kind, _ in head.marks}
        going_on = {_family(kind) for kind in shown}
        end([k for k, run in running.items() if shown and run[-1][1].version != head.version])
        end([k for k in running if head.clear and _family(k) not in going_on])
        for kind in sorted(shown):
            running.setdefault(kind, []).append((window, head))
    end([kind for kind, run in running.items() if run[-1][1].version not in (0, champion)])
    return found + [Episode(kind=kind, windows=tuple(run), over=False) for kind, run in running.items()]


def _family(kind: str) -> str:
    """Return what keeps an episode going: a window has one verdict, so drift of one kind does not end another."""
    return "drift" if kind.endswith(" drift") else kind


def live_alerts(
    product: str, heads: Heads, champions: Mapping[str, int | None], opened: Collection[str], ui_url: str
) -> Iterator[Found]:
    """Yield the episodes of every segment; one keeps the id under which it is among the `opened`."""
    for stage in LIVE:
        by_segment: dict[str, list[tuple[str, Head]]] = {}
        for partition, head in heads.get(stage.value, NONE).heads.items():
            segment, window = parse(partition)
            by_segment.setdefault(segment, []).append((window, head))
        for segment, windows in by_segment.items():
            for episode in episodes(sorted(windows), champions.get(segment)):
                yield _live(product, segment, stage, episode, opened, ui_url)


def without(heads: Heads, dismissed: frozenset[str]) -> Heads:
    """Return `heads` less the records that a person dismissed."""
    if not dismissed:
        return heads
    return {
        stage: StageHeads(each.changed_ns, {p: head for p, head in each.heads.items() if head.record not in dismissed})
        for stage, each in heads.items()
    }


def failed_checks(product: str, heads: Heads, ui_url: str) -> Iterator[Found]:
    """Yield an alert per partition whose current record failed a blocking check: nothing goes on from there."""
    for stage, each in heads.items():
        for partition, head in each.heads.items():
            if head.failed:
                segment, window = parse(partition)
                yield Found(
                    alert=Alert(
                        id=f"{product}/{segment}/check/{stage}/{window}",
                        product=product,
                        segment=segment,
                        kind=f"failed check of {stage}",
                        severity="error",
                        words=f"{window}: {stage} failed {head.failed}; nothing is made from it",
                        record=head.record,
                        link=asset_link(ui_url, product, stage, partition),
                    )
                )


def _live(product: str, segment: str, stage: Stage, episode: Episode, opened: Collection[str], ui_url: str) -> Found:
    names = [f"{product}/{segment}/{episode.kind}/{window}" for window, _ in episode.windows]
    (first, _), (window, head) = episode.windows[0], episode.windows[-1]
    count = f"; {len(names)} windows since {first}" if len(names) > 1 else ""
    return Found(
        alert=Alert(
            id=next((name for name in names if name in opened), names[0]),
            product=product,
            segment=segment,
            kind=episode.kind,
            severity="error" if episode.kind == "schema drift" else "warning",
            words=f"{window}: {dict(head.marks)[episode.kind]}{count}",
            record=head.record,
            link=asset_link(ui_url, product, stage, f"{segment}|{window}"),
        ),
        over=episode.over,
        at=datetime.fromisoformat(head.at),
    )
