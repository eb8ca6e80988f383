"""The report's page in a real browser, opened from disk."""

import csv
import os
import re
import shutil
import subprocess
from xml.etree import ElementTree

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
    reports.tell_more(folder / "a")
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


@pytest.fixture
def new_page(browser, report):
    """`new_page(width)`: the page as it opens, and a list of its errors and requests."""
    pages = []

    def open_at(width=1440, **how):
        problems = []
        page = browser.new_page(viewport={"width": width, "height": 900}, **how)
        pages.append(page)
        page.on("console", lambda message: problems.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: problems.append(request.url))
        page.goto(report.as_uri())
        problems.remove(report.as_uri())
        return page, problems

    yield open_at
    for page in pages:
        page.close()


@pytest.fixture
def page(request, new_page):
    """The page, 1440 pixels wide unless a test sets a width; no test may cause errors or requests."""
    page, problems = new_page(getattr(request, "param", 1440))
    yield page
    assert problems == []


def draw(figure):
    """Scrolls to a figure, and waits until the page's script has drawn it."""
    figure.evaluate("figure => figure.scrollIntoView()")
    playwright.expect(figure).to_have_attribute("data-drawn", ANY, timeout=60_000)


ANY = re.compile(".+")

# The number of pixels by which a drawing's text extends beyond its left or right edge.
OVERHANG = """svg => {
    const { left, right } = svg.getBoundingClientRect();
    const boxes = [...svg.querySelectorAll("text")].map((text) => text.getBoundingClientRect());
    return Math.max(...boxes.map((box) => Math.max(box.right - right, left - box.left)));
}"""


@pytest.mark.parametrize("page", [375, 1440], indirect=True)
def test_every_figure_is_drawn_and_nothing_overflows(page):
    figures = page.locator("figure.figure")
    assert {figure.get_attribute("id") for figure in figures.all()} == reports.FIGURES
    for figure in figures.all():
        draw(figure)
        svg = figure.locator(".chart svg")
        assert svg.locator("[class*=mark-]").count() > 10
        box, room = svg.bounding_box(), figure.locator(".chart").bounding_box()
        assert 0.8 * room["width"] < box["width"] <= room["width"] + 1
        # The drawing is not scaled down, so its text has the size it was drawn at.
        assert box["width"] > 0.97 * float(svg.get_attribute("width"))
        # The last label of the last panel's axis is not cut off, nor is any other text.
        assert svg.evaluate(OVERHANG) <= 1
    assert page.evaluate("document.documentElement.scrollWidth") == page.viewport_size["width"]


def test_only_figures_near_the_view_are_drawn_again(page):
    """The first of them, the others when they come near; until then the page shows its drawings."""
    first = page.locator("figure").first
    draw(first)
    assert page.locator("figure:not([data-drawn]) .chart > svg").count() > 5
    last = page.locator("figure").last
    assert last.get_attribute("data-drawn") is None
    draw(last)
    assert last.locator(".chart > svg").count() == 0


@pytest.mark.parametrize("page", [375], indirect=True)
def test_a_claim_opens_to_its_evidence_and_its_figure(page):
    claim = page.locator(".claim").first
    evidence = claim.get_by_text("Evidence of otherwise")
    assert not evidence.is_visible()
    claim.locator("summary").click()
    assert evidence.is_visible()
    draw(claim.locator(".figure"))
    # Its rows are emphasised, all others can be.
    pressed = claim.locator(".lines [aria-pressed=true]").all_inner_texts()
    assert pressed == ["Adam, rate 0.01", "Adam, rate 0.1"]
    assert claim.locator(".lines [aria-pressed=false]").count() == 5  # the other rows, and "all"
    # Claims that are closed draw nothing.
    assert page.locator(".claim [data-drawn]").count() == 1


def test_an_address_opens_its_claim(page):
    page.get_by_label("inconclusive (1)").check()
    claim = page.locator("[id='1-x-test_so']")
    assert not claim.is_visible()
    page.evaluate("location.hash = '1-x-test_so'")
    playwright.expect(claim.get_by_text("Evidence of so")).to_be_visible()


def test_markup_from_files_is_shown_as_text(page):
    assert page.evaluate("window.owned") is None
    assert page.locator("summary b").count() == 0
    assert page.locator("summary", has_text=reports.MARKUP).count() == 4


def test_claims_are_filtered_by_keyboard(page):
    page.get_by_label("all (4)").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.locator(":focus").get_attribute("value") == "not reproduced"
    visible = page.locator(".claim:visible")
    assert visible.evaluate_all("all => all.map(each => each.dataset.verdict)") == ["not reproduced"]
    assert "1 of 4 claims" in page.locator("#filtered").inner_text()
    # Nothing but the claims is left of the exercises.
    assert page.locator("figure:visible, .exercise table:visible").count() == 1  # the engines' speeds
    assert not page.locator("[id='3-x']").is_visible()
    page.get_by_label("all (4)").check()
    assert visible.count() == 4
    assert page.locator("figure:visible").count() == len(reports.FIGURES)


def test_rows_are_sorted_by_their_difference_and_back(page):
    rows = page.locator("[id='1-x'] tr[data-points]")
    points = "rows => rows.map(row => Math.round(100 * row.dataset.points) / 100)"
    header = page.locator("[id='1-x'] th[data-sort]")
    before = rows.evaluate_all(points)
    assert before == [5.05, 5.05, 3.05, 7.05, 5.05, 3.05]
    assert header.get_attribute("aria-sort") == "none"
    header.get_by_role("button").press("Enter")
    assert rows.evaluate_all(points) == [7.05, 5.05, 5.05, 5.05, 3.05, 3.05]
    assert header.get_attribute("aria-sort") == "descending"
    header.get_by_role("button").press("Enter")
    assert rows.evaluate_all(points) == before


def test_lines_are_chosen_by_keyboard_and_stay_so_on_another_scale(page):
    figure = page.locator("[id='1-x-error']")
    draw(figure)
    line = figure.get_by_role("button", name="SGD, rate 0.1", exact=True)
    every = figure.get_by_role("button", name="all", exact=True)
    shown = figure.locator(".lines [aria-pressed=true]")
    assert shown.count() == 7
    before = figure.locator(".chart svg").inner_html()
    line.press("Enter")
    playwright.expect(line).to_have_attribute("aria-pressed", "false")
    playwright.expect(every).to_have_attribute("aria-pressed", "false")
    assert figure.locator(".chart svg").inner_html() != before
    figure.get_by_role("button", name="linear").click()
    playwright.expect(figure).to_have_attribute("data-drawn", "linear")
    playwright.expect(line).to_have_attribute("aria-pressed", "false")
    assert shown.count() == 5
    every.press("Enter")
    assert shown.count() == 7
    # The buttons replace the drawing's legend.
    assert figure.locator(".chart .role-legend").count() == 0


def test_a_rule_at_the_pointer_shows_the_values_of_all_lines(page):
    figure = page.locator("[id='1-x-error']")
    draw(figure)
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
    draw(figure)
    figure.locator(".mark-symbol path[fill='#406dcf']").first.hover()
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    assert "adam-lr0.001" in tooltip.inner_text()


def test_the_data_of_a_figure_are_a_table_and_files(page):
    figure = page.locator("[id='1-x-time-to-accuracy']")
    draw(figure)
    figure.get_by_text("Data", exact=True).click()
    rows = figure.locator(".data tbody tr")
    rows.first.wait_for()
    table = [row.locator("td").all_inner_texts() for row in rows.all()]
    with page.expect_download() as download:
        figure.get_by_role("button", name="Save as CSV").click()
    assert download.value.suggested_filename == "1-x-time-to-accuracy.csv"
    with open(download.value.path(), newline="") as file:
        header, *saved = csv.reader(file)
    assert header[:3] == ["line", "row", "target"]
    assert header == figure.locator(".data th").all_inner_texts()
    assert saved == table
    assert saved[0][:4] == ["Adam, rate 0.001", "adam-lr0.001", "90 %", "2 of 2"]
    with page.expect_download() as download:
        figure.get_by_role("button", name="Save as SVG").click()
    assert download.value.suggested_filename == "1-x-time-to-accuracy.svg"
    assert ElementTree.parse(download.value.path()).getroot().tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize("width", [375, 1440])
def test_without_javascript_the_page_is_complete(new_page, width):
    page, problems = new_page(width, java_script_enabled=False)
    for figure in page.locator("figure").all():
        assert figure.locator(".chart > svg").is_visible()
    claim = page.locator(".claim").first
    claim.locator("summary").click()
    assert claim.get_by_text("Evidence of otherwise").is_visible()
    assert claim.get_by_role("link", name="Error by epoch").is_visible()
    # What needs the script is not offered.
    assert page.get_by_role("button").count() == page.get_by_role("radio").count() == 0
    assert problems == []


def test_no_text_of_a_figure_is_cut_off_before_the_script_draws_it(new_page):
    """Room is measured without the browser, so the page has to ask for fonts of that width."""
    page, _ = new_page(java_script_enabled=False)
    fonts = shutil.which("fc-list")
    found = subprocess.run([fonts], capture_output=True, text=True).stdout if fonts else ""
    if not re.search("Arial|Liberation Sans|DejaVu Sans Condensed", found):
        pytest.skip("needs Arial, Liberation Sans or DejaVu Sans Condensed")
    for svg in page.locator("figure .chart > svg").all():
        assert svg.evaluate(OVERHANG) <= 1


def test_printed_without_javascript_claims_show_their_evidence(new_page):
    page, _ = new_page(java_script_enabled=False)
    evidence = page.get_by_text("Evidence of otherwise")
    assert evidence.bounding_box() is None or not evidence.is_visible()
    page.emulate_media(media="print")
    assert evidence.is_visible()


def test_text_is_legible_in_dark_mode_and_print(page):
    """Its contrast with the background is at least 7 to 1, in the figures too."""
    draw(page.locator("figure").first)
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
