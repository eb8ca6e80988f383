"""The report's page in a real browser, opened from disk."""

import os
import shutil
from functools import cache

import numpy as np
import pytest

from harness.report.build import build
from tests import reports

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    reports.write(folder / "a", better=-0.02)
    reports.write(folder / "b")
    return build([folder / "a", folder / "b"])[0]


@pytest.fixture(scope="module")
def browser():
    # As root, as in containers, Chromium has no sandbox.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def opened(browser, report):
    """`opened(width)`: the page with every figure drawn, and a list of its errors and requests."""

    @cache
    def open_at(width):
        problems = []
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("console", lambda message: problems.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: problems.append(request.url))
        page.goto(report.as_uri())
        page.wait_for_selector("body[data-ready]", timeout=60000)
        problems.remove(report.as_uri())
        return page, problems

    return open_at


@pytest.fixture
def page(request, opened):
    """The page, 1440 pixels wide unless a test sets a width; no test may cause errors or requests."""
    page, problems = opened(getattr(request, "param", 1440))
    yield page
    assert problems == []


# The number of pixels by which a drawing's text extends beyond its right edge.
OVERHANG = """svg => {
    const right = (element) => element.getBoundingClientRect().right;
    return Math.max(...[...svg.querySelectorAll("text")].map(right)) - right(svg);
}"""


@pytest.mark.parametrize("page", [375, 1440], indirect=True)
def test_every_figure_is_drawn_and_nothing_overflows(page):
    figures = page.locator("figure.figure")
    assert {figure.get_attribute("id") for figure in figures.all()} == reports.FIGURES
    for figure in figures.all():
        svg = figure.locator(".chart svg")
        assert svg.locator("[class*=mark-]").count() > 10
        box, room = svg.bounding_box(), figure.locator(".chart").bounding_box()
        assert 0.8 * room["width"] < box["width"] <= room["width"] + 1
        # The drawing is not scaled down, so its text has the size it was drawn at.
        assert box["width"] > 0.97 * float(svg.get_attribute("width"))
        # The last label of the last panel's axis is not cut off.
        assert svg.evaluate(OVERHANG) <= 1
    assert page.evaluate("document.documentElement.scrollWidth") == page.viewport_size["width"]


def test_figures_in_closed_details_are_not_drawn(page):
    assert page.locator("details.claim .chart").count() == 4
    assert page.locator("details.claim .chart svg").count() == 0


@pytest.mark.parametrize("page", [375], indirect=True)
def test_verdicts_open_to_their_evidence_and_figure(page):
    claim = page.locator("details.claim").nth(1)
    evidence = claim.get_by_text("Evidence of otherwise")
    assert not evidence.is_visible()
    claim.locator("summary").click()
    assert evidence.is_visible()
    claim.locator("svg").wait_for()
    counts = page.locator(".counts li").all_inner_texts()
    assert [text.split()[0] for text in counts] == ["1", "1", "1", "1"]


def test_markup_from_files_is_shown_as_text(page):
    assert page.evaluate("window.owned") is None
    assert page.locator("summary b").count() == 0
    assert page.locator("summary", has_text=reports.MARKUP).count() == 4


def test_lines_can_be_faint_and_stay_faint_on_another_scale(page):
    figure = page.locator("[id='1-x-error']")
    # Of paths without a fill, only lines have this width; published values are at the edge.
    lines = figure.locator(".mark-line path[stroke-width='1.8']")
    faint = figure.locator(".mark-line path[stroke-width='1.8'][opacity='0.15']")
    crosses = figure.locator(".mark-symbol path[stroke-width='2.2']")
    assert (lines.count(), faint.count(), crosses.count()) == (12, 0, 6)  # six rows, on both sets
    name = figure.locator(".role-legend-label text", has_text="SGD, rate 0.1").first
    name.click()
    playwright.expect(faint).to_have_count(2)
    figure.get_by_role("button", name="linear").click()
    playwright.expect(figure).to_have_attribute("data-drawn", "linear")
    playwright.expect(faint).to_have_count(2)
    assert (lines.count(), crosses.count()) == (12, 6)
    figure.locator(".role-legend-label text", has_text="SGD, rate 0.1").first.click()
    playwright.expect(faint).to_have_count(0)


def test_a_rule_at_the_pointer_shows_the_values_of_all_lines(page):
    figure = page.locator("[id='1-x-error']")
    figure.scroll_into_view_if_needed()
    box = figure.locator(".chart svg").bounding_box()
    # In the first panel, next to its middle, away from the lines' points.
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 60)
    page.mouse.move(box["x"] + 0.21 * box["width"], box["y"] + 60)
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    names = tooltip.locator("td.key").all_inner_texts()
    rows = [f"{name}, rate {rate}" for name in ("Adam", "SGD") for rate in (0.001, 0.01, 0.1)]
    assert names == ["epoch", *rows]
    values = tooltip.locator("td.value").all_inner_texts()
    at = int(values[0])
    # Test errors fall evenly from 90 to 2.95, 4.95 and 6.95 %; the first row ends 2 points higher.
    ends = np.array([4.95, 4.95, 6.95, 2.95, 4.95, 6.95])
    assert [float(each) for each in values[1:]] == pytest.approx(90 - (90 - ends) * at / 4, abs=0.01)
    playwright.expect(figure.locator(".mark-rule.role-mark line[opacity='1']")).to_have_count(1)
    page.mouse.move(5, 5)


def test_a_point_shows_its_row(page):
    figure = page.locator("[id='1-x-learning-rate']")
    figure.locator(".mark-symbol path[fill='#406dcf']").first.hover()
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    assert "adam-lr0.001" in tooltip.inner_text()


def test_text_is_legible_in_dark_mode_and_print(page):
    """Its contrast with the background is at least 7 to 1, in the figures too."""
    page.emulate_media(color_scheme="dark")
    contrast = """() => {
      const light = (colour) => colour.match(/\\d+/g).slice(0, 3).map((part) => part / 255)
        .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
      const page = light(getComputedStyle(document.body).backgroundColor);
      return [getComputedStyle(document.body).color,
              getComputedStyle(document.querySelector(".chart svg text")).fill].map((colour) => {
        const pair = [page, light(colour)].sort();
        return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
      });
    }"""
    assert min(page.evaluate(contrast)) > 7
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    page.emulate_media(media="print")
    assert min(page.evaluate(contrast)) > 7
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
