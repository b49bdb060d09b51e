"""The page in a real browser, on the endpoint of a real deployment."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from mlops_assets.intake.images import png
from mlops_assets.serving.access.keys import add_key, file_of
from mlops_assets_tests.houses import WEEKS
from mlops_assets_tests.photos import photo
from mlops_assets_tests.serving.loans import Running
from mlops_assets_tests.serving.page.shop import IMAGE, INFER, SCRIPT, Shop, gallery

CHROMIUM = shutil.which("chromium")
ROW = {"price": 20.5, "rooms": 3, "street": "high", "town": "bath"}
LONG_MS = 20_000
REFUSED = "the server responded with a status of 4"  # the browser's own word on an answer that a test provokes

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine; none is downloaded")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=LONG_MS)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page whose script may say nothing on the console: no error, and nothing that its policy forbids."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(LONG_MS)
    found, said = context.new_page(), []
    found.on("console", lambda message: None if REFUSED in message.text else said.append(message.text))
    found.on("pageerror", lambda error: said.append(str(error)))
    yield found
    context.close()
    assert said == []


def test_it_shows_versions_verdicts_and_a_rate_that_moves(page: Page, served: tuple[Shop, Running]):
    found, endpoint = served
    page.goto(endpoint.url)
    expect(page.locator("#state")).to_have_text("serving")
    rate = page.locator("#figures dd").first
    before = rate.inner_text()

    for _ in range(30):
        endpoint.post(INFER, ROW)
    expect(rate).not_to_have_text(before)

    for town in found.product.segments:
        act = found.archive.ledger.champion("houses", town)
        assert act is not None
        assert page.locator(f"tr[data-segment='{town}'] a").inner_text() == f"version {act.version}"
    assert page.locator("#versions .share").all_inner_texts() == ["100%", "100%"]
    assert page.locator("#drift .drift").all_inner_texts() == ["01-14"]
    told = page.locator("#rate svg").get_attribute("aria-label") or ""
    assert told.startswith("predictions a second; now ")
    assert "highest in the last minutes 0/s" not in told


def test_a_prediction_from_the_form_leads_to_its_proof(page: Page, served: tuple[Shop, Running]):
    _, endpoint = served
    expected = endpoint.post(INFER, ROW).body
    page.goto(endpoint.url)
    page.get_by_label("price").fill("20.5")
    page.get_by_label("rooms").fill("3")
    page.get_by_label("street").select_option("high")

    page.get_by_role("button", name="Predict").click()
    id_ = page.locator("#inference-id").inner_text()
    output = float(page.locator("#output").inner_text())
    reasons = page.locator("#reasons th").all_inner_texts()
    page.get_by_role("link", name="What it rests on").click()
    expect(page.locator("#state")).to_have_text("proven")

    assert output == pytest.approx(expected["output"], rel=1e-3)
    assert "price = 20.5" in reasons
    assert page.url == f"{endpoint.url}/trace/{id_}"
    assert "every hash was computed anew" in page.locator("#proof").inner_text()
    assert page.locator(".graph .title").all_text_contents() == [
        *("source", "annotations", "dataset", "features", "model", "endpoint", "prediction")
    ]
    assert page.locator(".graph .here").count() == 1
    page.get_by_role("link", name="houses").click()
    expect(page.locator("#state")).to_have_text("serving")


def test_a_swap_is_seen_without_a_reload(page: Page, served: tuple[Shop, Running]):
    found, endpoint = served
    page.goto(endpoint.url)
    expect(page.locator("tr[data-segment='bath'] a")).to_have_text("version 1")
    page.get_by_label("price").fill("77.7")
    page.evaluate("window.stayed = true")

    found.promote("bath", WEEKS[1], 3)
    found.deploy()

    expect(page.locator("tr[data-segment='bath'] a")).to_have_text("version 3")
    page.get_by_role("button", name="Predict").click()
    expect(page.locator("#answer")).to_contain_text("version 3, champion, for bath")
    assert page.evaluate("window.stayed")
    assert page.get_by_label("price").input_value() == "77.7"


def test_hostile_names_and_values_stay_text(page: Page, served: tuple[Shop, Running]):
    _, endpoint = served
    page.goto(endpoint.url)
    page.get_by_label("street").select_option(SCRIPT)
    page.get_by_label("id optional").fill(IMAGE)
    page.get_by_role("button", name="Predict").click()
    expect(page.locator("#inference-id")).to_be_visible()
    shown = (page.locator("#description").inner_text(), page.locator("#drift .alarmed").inner_text())
    page.get_by_role("link", name="What it rests on").click()
    expect(page.locator("#proof")).to_contain_text(SCRIPT)
    expect(page.locator("#proof")).to_contain_text(IMAGE)

    assert all(IMAGE in words for words in shown)
    assert page.locator("main img, main script").count() == 0
    assert "broken in" not in page.title()


def test_what_the_endpoint_finds_wrong_is_said_at_its_field(page: Page, served: tuple[Shop, Running]):
    _, endpoint = served
    page.goto(endpoint.url)
    page.get_by_label("rooms").fill("")
    page.get_by_role("button", name="Predict").click()
    here = page.evaluate("document.activeElement.name")
    page.get_by_label("rooms").fill("1e30")
    page.get_by_role("button", name="Predict").click()

    wrong = page.locator(".field:has([name=rooms]) .wrong")
    expect(wrong).to_contain_text("right is an int")
    assert here == "rooms"
    assert page.get_by_label("rooms").get_attribute("aria-invalid") == "true"


def test_an_unknown_id_is_said_to_be_unknown(page: Page, served: tuple[Shop, Running]):
    _, endpoint = served
    page.goto(f"{endpoint.url}/trace/01a1fe29-3948-7005-a2cc-29250a79f968")

    expect(page.locator("#problem")).to_contain_text("no prediction '01a1fe29-3948-7005-a2cc-29250a79f968'")
    expect(page.locator("#state")).to_have_text("not known")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_every_field_has_a_label(browser: Browser, served: tuple[Shop, Running], scheme: str):
    _, endpoint = served
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(endpoint.url)
    page.get_by_role("button", name="Predict").click()
    expect(page.locator("#inference-id")).to_be_visible()

    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    fields = "[...document.querySelectorAll('main input, main select')]"
    unnamed = page.evaluate(f"{fields}.filter((field) => !field.labels.length).length")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    context.close()
    assert (wide, unnamed) == (0, 0)
    assert ground == {"light": "rgb(251, 251, 250)", "dark": "rgb(20, 23, 26)"}[scheme]


def test_nothing_that_is_put_into_the_page_runs(browser: Browser, served: tuple[Shop, Running]):
    _, endpoint = served
    page = browser.new_page()
    page.goto(endpoint.url)
    page.evaluate("(markup) => document.body.insertAdjacentHTML('beforeend', markup)", IMAGE)
    script = "Object.assign(document.createElement('script'), {textContent: 'document.title = 1'})"
    page.evaluate(f"document.body.append({script})")
    page.wait_for_timeout(200)

    title = page.title()
    page.close()
    assert title == "houses"


def test_an_image_is_uploaded_and_shown_in_its_proof(page: Page, tmp_path: Path):
    found = gallery(tmp_path / "gallery")
    (tmp_path / "dark.png").write_bytes(photo(3))
    (tmp_path / "large.png").write_bytes(png(np.zeros((4, 4), np.uint8)))
    with found.endpoint() as endpoint:
        page.goto(endpoint.url)
        page.get_by_label("file").set_input_files(tmp_path / "large.png")
        page.get_by_role("button", name="Predict").click()
        expect(page.locator(".wrong:not(:empty)")).to_contain_text("found an image 4 high and 4 wide")
        page.get_by_label("file").set_input_files(tmp_path / "dark.png")
        page.get_by_role("button", name="Predict").click()
        expect(page.locator("#answer")).to_contain_text("probability of night")
        output = float(page.locator("#output").inner_text())
        page.get_by_role("link", name="What it rests on").click()
        expect(page.locator("#state")).to_have_text("proven")
        width = page.get_by_alt_text("the image in file").evaluate("image => image.naturalWidth")

    assert output > 0.5
    assert width == 3


def test_a_key_is_asked_for_and_stays_in_the_tab(browser: Browser, served: tuple[Shop, Running], tmp_path: Path):
    found, _ = served
    shutil.copytree(found.settings.home, tmp_path / "home")
    own = replace(found, settings=replace(found.settings, home=tmp_path / "home"))
    file = file_of(own.settings.access_folder, "houses")
    key = add_key(file, "jo", ["read", "predict"], None, datetime.now(UTC))
    page = browser.new_page()
    with own.endpoint() as endpoint:
        page.goto(endpoint.url)
        expect(page.locator("#door-words")).to_contain_text("asks for an access key")
        expect(page.locator("#fields")).not_to_contain_text("first champion")
        page.get_by_label("access key").fill("mlops_wrong")
        page.get_by_role("button", name="Use it").click()
        expect(page.locator("#door-words")).to_contain_text("not, or no longer, known")
        page.get_by_label("access key").fill(key)
        page.get_by_role("button", name="Use it").click()
        expect(page.locator("#state")).to_have_text("serving")
        saved = {}
        for link in ("metrics", "openapi"):
            with page.expect_download() as download:
                page.get_by_role("link", name=link).click()
            saved[download.value.suggested_filename] = download.value.path().read_text()
        page.get_by_role("button", name="Predict").click()
        expect(page.locator("#inference-id")).to_be_visible()
        page.get_by_role("link", name="What it rests on").click()
        expect(page.locator("#state")).to_have_text("proven")
        kept = page.evaluate("[Object.values(sessionStorage), Object.keys(localStorage).length, document.cookie]")

    page.close()
    assert kept == [[key], 0, ""]
    assert "mlops_requests_total" in saved["metrics.txt"]
    assert '"openapi"' in saved["openapi.json"]
