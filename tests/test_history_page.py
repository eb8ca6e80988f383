"""The history's page in a real browser, opened from disk."""

import os
import shutil

import pytest

from harness.history.drawing import draw_history
from harness.history.past_runs import read_runs
from harness.history.steps import find_steps
from harness.history.tracks import tracks_of
from harness.paths import ROOT
from tests.histories import ROWS, content, nights, save

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("history")
    times = nights(60)
    times[40:, 2] *= 1.2
    for night, of_night in enumerate(times):
        accuracies = {row: [0.95 + 1e-4 * seed for seed in range(3)] for row in ROWS}
        seconds = dict(zip(ROWS, of_night.tolist(), strict=True))
        save(folder, night, content(night, seconds, accuracies))
    tracks = tracks_of(read_runs([folder], ROOT)[0])
    (folder / "history.html").write_text(draw_history(tracks, find_steps(tracks[0], 5), ["a file"]))
    return folder / "history.html"


@pytest.fixture(scope="module")
def browser():
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1440])
def test_the_page_fits_and_makes_no_requests(browser, page, width, scheme):
    opened = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    problems = []
    opened.on("console", lambda message: problems.append(message.text))
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("request", lambda request: problems.append(request.url))
    opened.goto(page.as_uri())
    assert problems == [page.as_uri()]
    assert opened.evaluate("document.documentElement.scrollWidth") == width
    back, text = opened.evaluate(
        "['backgroundColor', 'color'].map(name => getComputedStyle(document.body)[name])"
        ".map(colour => Number(colour.match(/[0-9]+/)[0]))"
    )
    assert (back < text) == (scheme == "dark")
    cut = opened.evaluate(
        "[...document.querySelectorAll('td, figcaption, h3')]"
        ".filter(each => each.getBoundingClientRect().right > innerWidth).length"
    )
    assert cut == 0
    opened.close()


def test_a_step_is_in_its_rows_panel(browser, page):
    opened = browser.new_page(viewport={"width": 1440, "height": 900})
    opened.goto(page.as_uri())
    found = opened.evaluate(
        "[...document.querySelectorAll('.row')].map(row => row.querySelectorAll('path.s').length)"
    )
    assert found == [0, 0, 1, 0, 0, 0, 0, 0]
    assert opened.locator("svg path.b").count() == 8  # the intervals over seeds
    opened.close()
