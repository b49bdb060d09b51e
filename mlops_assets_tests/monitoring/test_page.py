"""A window on one page, made from its records; and what the Dagster UI shows and gives out of it."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import dagster as dg
import polars as pl
import pytest

from mlops_assets.cli import main
from mlops_assets.detection.drift import judge
from mlops_assets.detection.verdict import Verdict
from mlops_assets.evidence.archive import Archive
from mlops_assets.lineage.trace import trace
from mlops_assets.monitoring.assets import drift_asset, performance_asset, profile_asset
from mlops_assets.monitoring.drawn import judged
from mlops_assets.monitoring.page import Page, Row, from_markdown, html
from mlops_assets.monitoring.page_read import asked_for, column_rows, page_path, write_page
from mlops_assets.monitoring.performance_step import PerformanceStep
from mlops_assets.monitoring.profile import COUNTS
from mlops_assets.monitoring.steps import DriftStep, ProfileStep
from mlops_assets.monitoring.whylog import metadata_of
from mlops_assets.product import Stage
from mlops_assets.serving.assets import predictions_asset
from mlops_assets.serving.steps import PredictionsStep
from mlops_assets.settings import Settings, exports
from mlops_assets.training.bins import count
from mlops_assets.wiring import Platform
from mlops_assets_tests.houses import HOUSES, WEEKS, answered, champion, deployment, make, outcomes, over, sales

NOON = datetime(2026, 1, 20, 12, tzinfo=UTC)
QUIET, MOVED, EMPTY = (f"bath|2026-01-2{day}" for day in range(3))
STEPS = (PredictionsStep, ProfileStep, DriftStep, PerformanceStep)
VOID = {"meta", "br", "hr", "img", "link", "input"}
UI = "http://dagster.example:3000"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Three days of Bath: one like training with all its labels, one of dear houses in a new street, one empty."""
    found = replace(deployment(tmp_path_factory.mktemp("houses"), sales(3, rows=300)), ui_url=UI)
    for week in WEEKS:
        make(found, HOUSES, f"bath|{week}")
    model = make(found, HOUSES, f"bath|{WEEKS[1]}", Stage.MODEL)[Stage.MODEL]
    champion(found, model, 1)
    rows = sales(3, rows=300).filter(pl.col("town") == "bath").tail(120)
    dear = rows.with_columns(id="dear-" + pl.col("id"), price=pl.col("price") * 0.2 + 80, street=pl.lit("<lane>"))
    ids = answered(found, model, 1, rows, NOON, "w")
    answered(found, model, 1, dear, NOON + timedelta(days=1), "w")
    over(found, NOON + timedelta(days=3), "w", since=datetime(2026, 1, 20))
    outcomes(found, dict(zip(ids, map(str, rows["sold"]), strict=True)), NOON + timedelta(days=2))
    return found


@pytest.fixture(scope="module")
def archive(settings: Settings) -> Archive:
    """What the seal job makes of these days."""
    archive = Archive(settings.home)
    for partition in (QUIET, MOVED, EMPTY):
        for kind in STEPS:
            kind(product=HOUSES, archive=archive, settings=settings).make(partition)
    return archive


class Reader(HTMLParser):
    """Tags that are opened and closed, every address named, and the text outside of the style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "data")]
        if tag not in VOID and not (self.get_starttag_text() or "").endswith("/>"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += "" if "style" in self.open else f"{data} "


def read(settings: Settings, archive: Archive, partition: str) -> Reader:
    return Reader(write_page(settings, archive, HOUSES, partition).read_text())


def test_a_page_needs_nothing_beside_it_and_runs_nothing(settings: Settings, archive: Archive):
    text = write_page(settings, archive, HOUSES, MOVED).read_text()
    page = Reader(text)

    assert page.open == []
    assert not {"script", "link", "img", "iframe", "object"} & page.tags
    assert {re.sub(r"\?.*", "", address) for address in page.addresses} == {f"{UI}/assets/houses/drift"}
    assert not re.search(r"url\(|@import", text)
    assert len(text) < 100_000


def test_a_drifted_window_says_so_in_words_with_where_it_came_from_and_which_columns_moved(
    settings: Settings, archive: Archive
):
    page = read(settings, archive, MOVED)

    drift = archive.held(archive.heads("houses", "drift")[MOVED]).record
    assert "DRIFT" in page.text
    assert str(drift.facts["words"]) in page.text
    assert str(drift.facts["origin"]) in page.text
    assert "price: 120 live rows" in page.text
    assert "street: 120 live rows" in page.text
    assert "scores (the column prediction)" in page.text
    assert re.search(r"uncalibrated, shown for comparison; 0.2 is PSI's usual line", page.text)


def test_names_that_look_like_html_are_only_text(settings: Settings, archive: Archive):
    page = read(settings, archive, MOVED)
    hostile = "<script>alert(1)</script>"
    verdict = Verdict(state="drift", kind="data", p_value=0.1, rows=1, windows=1, words=hostile)
    row = Row(column=hostile, words=hostile, moved=True)
    written = Reader(
        html(
            Page(
                product=hostile,
                segment=hostile,
                window=hostile,
                verdict=verdict,
                facts={hostile: hostile},
                origin=hostile,
                ancestors={hostile: hostile},
                columns=[row],
                uncalibrated="",
                pictures={},
                timeline="",
                performance=hostile,
                tables={hostile: f"{hostile}\n\n| a |\n| --- |\n| {hostile} |"},
                records={hostile: hostile},
                commands=[hostile],
                ui='"><script>',
            )
        )
    )

    assert "lane" not in page.tags
    assert "script" not in written.tags
    assert written.text.count(hostile) >= 14


def test_a_quiet_window_says_what_it_could_have_seen_and_how_good_its_predictions_were(
    settings: Settings, archive: Archive
):
    page = read(settings, archive, QUIET)

    assert "OK" in page.text
    assert "would be seen in 4 of 5 cases" in page.text
    assert "auc on the labels that have come in" in page.text
    assert "2026-01-20: 100% of rows have a label" in page.text
    assert "120 of 120 (100%)" in page.text


def test_an_empty_window_has_a_page_too(settings: Settings, archive: Archive):
    page = read(settings, archive, EMPTY)

    assert "CANNOT TELL" in page.text
    assert "no predictions in this window" in page.text


def test_a_changed_schema_is_told_of_its_columns_and_no_other_column_was_judged(settings: Settings, archive: Archive):
    found = judged(archive, archive.held(archive.heads("houses", "drift")[MOVED]))
    rows = pl.DataFrame({"price": ["dear"] * 50, "rooms": [3.0] * 50})
    live = count(rows, found.reference.bins)
    verdict = judge(live, found.reference).verdict

    told = {row.column: (row.words, row.moved) for row in column_rows(replace(found, live=live, verdict=verdict))}

    assert told["price"] == ("price is text, was number", True)
    assert told["street"] == ("street is missing", True)
    assert told["rooms"] == ("not judged", False)
    assert list(told)[-1] == "rooms"


def test_a_page_is_the_same_when_it_is_made_again(settings: Settings, archive: Archive):
    first = write_page(settings, archive, HOUSES, MOVED).read_bytes()

    assert write_page(settings, Archive(settings.home), HOUSES, MOVED).read_bytes() == first
    assert archive.made(DriftStep(product=HOUSES, archive=archive, settings=settings).prepare(MOVED).recipe)


def test_every_record_that_a_page_names_can_be_traced(settings: Settings, archive: Archive):
    page = read(settings, archive, QUIET)

    ids = set(re.findall(r"\b[0-9a-f]{64}\b(?!\.bin)", page.text))
    assert len(ids) == 5
    assert [trace(settings, each, budget_s=None).exit_code for each in ids] == [0] * 5


def test_a_window_that_was_never_judged_has_no_page_and_the_newest_one_is_named(settings: Settings, archive: Archive):
    with pytest.raises(LookupError, match=r"no verdict on houses\[york.*; the newest one is on .*2026-01-22"):
        write_page(settings, archive, HOUSES, "york|2026-01-20")


def test_a_segment_is_named_where_there_are_several():
    assert asked_for(HOUSES, "2026-01-20", "york") == "york|2026-01-20"
    with pytest.raises(LookupError, match=r"which segment of houses.*: bath, york"):
        asked_for(HOUSES, "2026-01-20", None)
    with pytest.raises(LookupError, match="no segment 'hull' of houses; known: bath, york"):
        asked_for(HOUSES, "2026-01-20", "hull")
    with pytest.raises(ValueError, match="no window 'January'"):
        asked_for(HOUSES, "January", "bath")


def test_the_command_writes_the_page_and_says_where(
    settings: Settings, archive: Archive, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    _declared(settings, monkeypatch)
    page_path(settings, "houses", MOVED).unlink(missing_ok=True)

    codes = [
        main(["page", "houses", "2026-01-21", "--segment", "bath", "--open"]),
        main(["page", "houses", "2026-01-21"]),
    ]

    said = capsys.readouterr()
    assert codes == [0, 4]
    assert said.out.strip() == str(page_path(settings, "houses", MOVED))
    assert page_path(settings, "houses", MOVED).exists()
    assert opened == [page_path(settings, "houses", MOVED).as_uri()]
    assert "name one with --segment: bath, york" in said.err


def test_tables_and_paragraphs_of_markdown_become_html():
    made = from_markdown("Too few\nrows.\n\n| a | b |\n| --- | --- |\n| x \\| y | < 1 |")

    page = Reader(made)
    assert page.text.split() == ["Too", "few", "rows.", "a", "b", "x", "|", "y", "<", "1"]
    assert {"p", "table", "th", "td"} <= page.tags


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance that keeps its logs on disk, as one of `up` does."""
    with dg.DagsterInstance.local_temp(str(tmp_path), {"telemetry": {"enabled": False}}) as instance:
        yield instance


def test_the_ui_shows_pictures_tables_and_the_page_and_gives_out_profile_and_page(
    settings: Settings, archive: Archive, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    for name, value in exports(settings).items():
        monkeypatch.setenv(name, value)

    shown = _materialized(instance, MOVED)

    profile, drift, performance = (shown[stage] for stage in (Stage.PROFILE, Stage.DRIFT, Stage.PERFORMANCE))
    assert "| price |" in str(profile["quantiles"].value)
    assert str(drift["plot: price"].value).startswith("![plot: price](data:image/svg+xml;base64,")
    assert str(drift["verdicts"].value).startswith("![verdicts](data:image/svg+xml;base64,")
    assert "uncalibrated" in str(drift["distances"].value)
    assert drift["page"].value == performance["page"].value == str(page_path(settings, "houses", MOVED))
    assert str(performance["quality over time"].value).startswith("![quality over time](data:image/svg+xml;base64,")
    assert str(drift["plot: prediction"].value).startswith("![plot: prediction](data:image/svg+xml;base64,")
    data = _downloaded(instance, str(profile["download profile"].value))
    page = _downloaded(instance, str(drift["download page"].value))
    assert list(metadata_of(data)) == [COUNTS]
    assert page == page_path(settings, "houses", MOVED).read_bytes()


def test_what_is_given_out_is_what_was_made_last(
    settings: Settings, archive: Archive, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    for name, value in exports(settings).items():
        monkeypatch.setenv(name, value)
    old = Path(instance.storage_directory(), "mlops_assets", "houses", "drift", f"{QUIET}.html")
    old.parent.mkdir(parents=True)
    old.write_text("an older page")

    first, second = (_materialized(instance, QUIET)[Stage.DRIFT]["download page"].value for _ in range(2))

    assert first == second
    assert _downloaded(instance, str(second)) == page_path(settings, "houses", QUIET).read_bytes()


def _materialized(instance: dg.DagsterInstance, partition: str) -> dict[Stage, dict[str, dg.MetadataValue]]:
    assets = [make(HOUSES) for make in (predictions_asset, profile_asset, drift_asset, performance_asset)]
    segment, window = partition.split("|")
    key = dg.MultiPartitionKey({"segment": segment, "window": window})
    made = dg.materialize(assets, partition_key=key, instance=instance, resources={"platform": Platform()})
    stages = (Stage.PREDICTIONS, Stage.PROFILE, Stage.DRIFT, Stage.PERFORMANCE)
    return {stage: dict(made.asset_materializations_for_node(f"houses__{stage}")[0].metadata) for stage in stages}


def _downloaded(instance: dg.DagsterInstance, path: str) -> bytes:
    """What Dagster's own webserver sends for a path."""
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster_webserver.webserver import DagsterWebserver

    sent: list[dict[str, Any]] = []

    async def receive() -> None:
        await asyncio.Event().wait()  # the client stays until all is sent

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    with WorkspaceProcessContext(instance, workspace_load_target=None) as context:
        app = DagsterWebserver(context).create_asgi_app()
        scope = {"type": "http", "method": "GET", "path": unquote(path), "query_string": b"", "headers": []}
        asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 200
    assert b"attachment" in dict(sent[0]["headers"])[b"content-disposition"]
    return b"".join(message.get("body", b"") for message in sent[1:])


def _declared(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Declare the product as a user does, and make this process one that uses it."""
    folder = settings.defs / "houses"
    folder.mkdir(parents=True, exist_ok=True)
    declared = HOUSES.model_dump_json(exclude_defaults=True)
    (folder / "defs.yaml").write_text(f"type: mlops_assets.ModelProduct\nattributes: {declared}\n")
    for name, value in exports(settings).items():
        monkeypatch.setenv(name, value)
