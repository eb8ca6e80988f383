"""What a report's page says, and in what order; `test_report_page.py` opens it in a browser."""

import base64
import gzip
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from harness.files import sealed
from harness.files.record import PublishedFigures
from harness.report.build import build
from harness.report.claim_list import anchor, in_reading_order, lines_shown
from harness.report.differences import format_points, likely_reason, uneven_note
from harness.report.figures import Figure, figures_of
from harness.report.inline_svg import inline_svg, that_fit
from harness.report.legend import legend_of
from harness.report.load import load_run
from harness.report.next_steps import NextStep
from harness.report.series import lines_of
from harness.verdicts import INCONCLUSIVE
from tests import reports

VOID = {"br", "hr", "img", "input", "link", "meta"}


class Elements(HTMLParser):
    """The elements of a page in order: name, attributes, text, and the elements around them."""

    def __init__(self, page):
        super().__init__()
        self.found, self._open = [], []
        self.feed(page)

    def handle_starttag(self, name, attributes):
        element = {"name": name, "text": "", "in": [*self._open], **dict(attributes)}
        self.found.append(element)
        if name not in VOID:
            self._open.append(element)

    def handle_startendtag(self, name, attributes):
        self.found.append({"name": name, "text": "", "in": [*self._open], **dict(attributes)})

    def handle_endtag(self, _):
        self._open.pop()

    def handle_data(self, text):
        for element in self._open:
            element["text"] += text

    def all(self, name=None, kind=None, within=None):
        """Returns the elements of that name and class, in the element of that id."""
        return [
            each
            for each in self.found
            if (name is None or each["name"] == name)
            and (kind is None or kind in (each.get("class") or "").split())
            and (within is None or any(outer.get("id") == within for outer in each["in"]))
        ]


def words(element):
    return " ".join(element["text"].split())


@pytest.fixture
def folder(tmp_path):
    reports.write(tmp_path / "run")
    reports.tell_more(tmp_path / "run")
    return tmp_path / "run"


def changed(folder, change):
    """Applies `change` to the content of the folder's summary."""
    content = sealed.read_content(folder / "summary.json")
    change(content)
    sealed.write_content(folder / "summary.json", content)


def page_of(folder):
    return build([folder])[0].read_text()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports") / "run"
    reports.write(folder)
    reports.tell_more(folder)
    other = tmp_path_factory.mktemp("reports") / "other"
    reports.write(other)
    return build([folder, other])[0].read_text()


@pytest.fixture(scope="module")
def elements(page):
    return Elements(page)


def test_claims_that_did_not_come_back_are_first(elements):
    claims = elements.all("div", "claim")
    assert [claim["data-verdict"] for claim in claims] == [
        "not reproduced", "inconclusive", "not testable at this scale", "reproduced",
    ]  # fmt: skip
    assert [claim["id"] for claim in claims] == [
        f"1-x-test_{name}" for name in ("otherwise", "open", "later", "so")
    ]
    assert f"Criterion: It exceeds the other {reports.MARKUP}." in words(claims[0])
    assert "Decided from 2 of 6 rows: adam-lr0.01, adam-lr0.1. Not used: adam-lr0.001" in words(
        claims[0]
    )


def test_claims_of_a_study_of_ones_own_are_in_the_same_order(folder):
    claim = next(iter(load_run(folder).claims.values()))
    verdicts = ["holds", "inconclusive", "not testable at this scale", "does not hold"]
    ordered = in_reading_order(claim.model_copy(update={"verdict": each}) for each in verdicts)
    assert [each.verdict for each in ordered] == [
        "does not hold", "inconclusive", "not testable at this scale", "holds",
    ]  # fmt: skip


def test_an_anchor_has_only_characters_that_addresses_have(folder):
    claim = next(iter(load_run(folder).claims.values()))
    claim = claim.model_copy(update={"id": "bench/test_1_x.py::test_it[a b/c-0.1]"})
    assert anchor(claim) == "1-x-test_it-a-b-c-0.1"


def test_every_verdict_is_explained(elements):
    counts = [words(each) for each in elements.all("li", within="verdicts")]
    assert counts == [
        "1 ✓ reproduced The measurement agrees with the claim.",
        "1 ✗ not reproduced The measurement contradicts the claim: a finding, not a failure.",
        "1 ? inconclusive Too close to call, still changing, or times that cannot be compared.",
        "1 – not testable at this scale It takes more epochs than this run trained.",
    ]


def test_an_exercise_begins_with_its_story_and_the_figure_that_shows_it(elements):
    parts = elements.all(within="1-x")
    order = [
        each.get("id") or each.get("class") or words(each)
        for each in parts
        if each["name"] in ("figure", "table")
        or each.get("class") in ("question", "story", "claims", "guesses")
    ]
    # The first claim names the learning rate's figure; the others keep their order.
    assert order == [
        "question", "story", "1-x-learning-rate", "claims", "guesses", "results", "1-x-error",
        "1-x-seconds", "1-x-loss", "1-x-time-to-accuracy",
    ]  # fmt: skip
    (guesses,) = elements.all("p", "guesses", within="1-x")
    assert words(guesses) == f"Guessed: One guess {reports.MARKUP}. Another guess."


def test_the_contents_have_the_first_sentence_of_each_story(folder):
    """A full stop ends a sentence only before a space and a capital."""
    told = ["At 0.5 it ends well, e.g. this one: 0.97. Then the rest. And more.", *["Only one."] * 9]
    changed(
        folder,
        lambda summary: [
            each.update(story=story) for each, story in zip(summary["exercises"], told, strict=False)
        ],
    )
    found = [words(each) for each in Elements(page_of(folder)).all("p", within="contents")]
    assert found[0] == "At 0.5 it ends well, e.g. this one: 0.97."
    assert set(found[1:]) <= {"Only one."}


def test_without_a_story_an_exercise_begins_with_its_best_rows(folder):
    changed(folder, lambda summary: [each.update(story="") for each in summary["exercises"]])
    (story,) = Elements(page_of(folder)).all("p", "story", within="1-x")
    assert words(story).startswith("Best test accuracy: Adam 0.970 ± 0.006 at rate 0.001")


def test_a_claim_shows_its_figure_with_its_rows(elements):
    shown = {
        claim["id"].rpartition("_")[2]: [
            (each["data-figure"], json.loads(each["data-lines"]))
            for each in elements.all("div", "figure", within=claim["id"])
        ]
        for claim in elements.all("div", "claim")
    }
    assert shown == {
        "so": [("1-x-learning-rate", [])],  # it has no lines to choose
        "otherwise": [("1-x-error", ["Adam, rate 0.01", "Adam, rate 0.1"])],
        "open": [],  # of a figure that does not exist
        "later": [],
    }


def test_rows_emphasise_the_line_that_they_are_points_of(folder):
    run = load_run(folder)
    lines = lines_of(run, run.summary.exercises[0])
    claim = run.claims["bench/test_1_x.py::test_so"]
    shown = {"name": "shown", "value": [{"line": "Adam"}, {"line": "SGD"}]}
    figure = Figure(
        title="", notes="", variants={"a": {"concat": [{"layer": [{"params": [shown]}]}]}},
        data={"x": [{"line": line, "row": f"{line}, rate {rate}"} for line, rate in
                    (("Adam", 0.01), ("SGD", 0.1))]},
    )  # fmt: skip
    assert lines_shown(claim, lines, figure) == ["Adam"]
    # All lines or none: there is nothing to emphasise.
    every = claim.model_copy(update={"rows": ["adam-lr0.01", "sgd-lr0.1"]})
    assert lines_shown(every, lines, figure) == []
    assert lines_shown(claim.model_copy(update={"rows": []}), lines, figure) == []


def test_a_figures_lines_have_their_colours_and_dashes(folder):
    run = load_run(folder)
    error, *others = figures_of(run, run.summary.exercises[0])
    lines = lines_of(run, run.summary.exercises[0])
    assert [(each.line, each.colour) for each in legend_of(error)] == [
        (line.label, line.colour) for line in lines
    ]
    assert [each.dash for each in legend_of(error)] == [" ".join(map(str, line.dash)) for line in lines]
    (times,) = (each for each in others if each.name.endswith("time-to-accuracy"))
    assert legend_of(times) == []


def test_the_table_has_the_difference_from_the_paper(elements):
    table = elements.all("table", "results", within="1-x")[0]
    headers = [words(each) for each in elements.all("th") if table in each["in"] and "scope" in each]
    assert headers[:5] == [
        "row", "test accuracy, after 4 epochs", "paper, after 100 epochs", "difference (points)",
        "time (s)",
    ]  # fmt: skip
    rows = [each for each in elements.all("tr", within="1-x") if "data-points" in each]
    cells = [[words(each) for each in elements.all("td") if row in each["in"]] for row in rows]
    assert [each[:3] for each in cells[:3]] == [
        ["0.9705 ± 0.0064", "0.900", "+7.0"],
        ["0.9505 ± 0.0064", "0.900", "+5.0"],
        ["0.9305 ± 0.0064", "0.900", "+3.0"],
    ]
    assert [float(row["data-points"]) for row in rows[:3]] == pytest.approx([7.05, 5.05, 3.05])


@pytest.mark.parametrize(
    ("points", "text"),
    [(3.55, "+3.5"), (-81.94, "−81.9"), (0, "+0.0"), (-0.04, "+0.0"), (-0.06, "−0.1")],
)
def test_differences_have_a_sign_and_one_decimal(points, text):
    assert format_points(points) == text


@pytest.mark.parametrize(
    ("published", "full", "reason"),
    [
        (0.99, 100, ""),  # within ten points
        (None, 100, ""),
        (0.2, 100, "after 4 of 100 epochs. A remark."),  # what explains a better result may come later
        (0.2, 4, "A remark."),
        (0.2, None, "A remark."),
        (0.999, 4, ""),
    ],
)
def test_a_large_difference_has_a_likely_reason(folder, published, full, reason):
    run = load_run(folder)
    case = next(iter(run.cases.values()))
    paper = PublishedFigures(test_accuracy=published, seconds=None, remark="A remark.")
    exercise = run.summary.exercises[0].model_copy(update={"full_epochs": full})
    assert likely_reason(case.model_copy(update={"paper": paper}), exercise) == reason
    worse = case.model_copy(update={"paper": paper, "test_accuracy": [0.05, 0.05]})
    if published:
        expected = "after 4 of 100 epochs" if full == 100 else "A remark."
        assert likely_reason(worse, exercise) == expected


def test_the_page_shows_likely_reasons_next_to_the_differences(folder):
    path = next((folder / "runs").glob("test_1_x.adam-lr0.001.*"))
    record = sealed.read_content(path)
    record["paper"] |= {"test_accuracy": 0.5, "remark": f"Another seed {reports.MARKUP}."}
    sealed.write_content(path, record)
    changed(folder, lambda summary: summary["cases"][0].update(paper=record["paper"]))
    (first, *others) = Elements(page_of(folder)).all("td", "reason", within="1-x")
    assert words(first) == f"after 4 of 100 epochs. Another seed {reports.MARKUP}."
    assert {words(each) for each in others} == {""}


def test_a_time_with_an_epoch_out_of_line_is_marked(folder):
    run = load_run(folder)
    lines = [
        replace(line, case=line.case.model_copy(update={"slowest_epoch": slowest}))
        for line, slowest in zip(
            lines_of(run, run.summary.exercises[0])[:3], (5.12, 1.9, None), strict=True
        )
    ]
    assert uneven_note(lines) == "† Adam, rate 0.001: its slowest epoch took 5.1 times the median one."
    assert uneven_note(lines[1:]) == ""
    assert uneven_note([lines[0], lines[0], lines[1]]) == (
        "† The slowest epoch took much longer than the median one "
        "(Adam, rate 0.001: 5.1 times; Adam, rate 0.001: 5.1 times)."
    )


def test_ids_are_unique_and_every_link_has_a_target(elements):
    ids = [each["id"] for each in elements.found if "id" in each]
    assert len(ids) == len({*ids})
    links = {each["href"] for each in elements.all("a") if each["href"].startswith("#")}
    assert len(links) > 10
    assert {link[1:] for link in links} <= {*ids}
    # So do clip paths and gradients in the drawings.
    references = {
        name
        for each in elements.found
        for value in each.values()
        if isinstance(value, str) and value.startswith("url(#")
        for name in re.findall(r"url\(#([^)]*)\)", value)
    }
    assert references
    assert references <= {*ids}


def test_without_javascript_every_figure_is_drawn(elements):
    drawn = {
        figure["id"]: sum(figure in each["in"] for each in elements.all("svg"))
        for figure in elements.all("figure")
    }
    assert drawn == dict.fromkeys(reports.FIGURES, 1)


def test_headings_have_no_gaps(elements):
    levels = [int(each["name"][1]) for each in elements.found if re.fullmatch("h[1-6]", each["name"])]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert max(later - earlier for earlier, later in pairwise(levels)) == 1


def test_tables_have_captions_and_scopes_and_can_be_scrolled_by_keyboard(elements):
    tables = elements.all("table")
    assert len(tables) == 3  # a comparison and two exercises
    for table in tables:
        assert sum(table in each["in"] for each in elements.all("caption")) == 1
        scroll = table["in"][-1]
        assert (scroll["role"], scroll["tabindex"]) == ("region", "0")
        assert scroll["aria-label"]
    assert all(each["scope"] in ("col", "row") for each in elements.all("th"))
    labels = [each["aria-label"] for each in elements.all("div", "scroll")]
    assert len(labels) == len({*labels})


def test_the_policy_allows_only_the_pages_own_scripts(page, elements):
    (policy,) = (each["content"] for each in elements.all("meta") if "http-equiv" in each)
    library = gzip.decompress(base64.b64decode(re.search('id="library">([^<]*)<', page)[1])).decode()
    script = re.search('<script type="module">(.*?)</script>', page, re.S)[1]
    digests = [
        base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in (script, library)
    ]
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{digests[0]}' 'sha256-{digests[1]}'; "
        "style-src 'unsafe-inline'; img-src data:"
    )


def test_drawings_in_the_page_are_shorter_and_have_ids_of_their_own():
    svg = (
        '<svg xmlns="x" width="9" height="9"><rect width="9" height="9" fill="white"/>'
        '<clipPath id="clip1"/><path role="a" aria-label="b" d="M0.123,-4.98L1e-3,7.0" opacity="0.25" '
        'clip-path="url(#clip1)"/>'
        '<use href="#clip1"/><text>0.0625</text></svg>'
    )
    assert inline_svg(svg, "one") == (
        '<svg width="9" height="9"><clipPath id="one.clip1"/>'
        '<path d="M0.1,-5L1e-3,7.0" opacity="0.25" clip-path="url(#one.clip1)"/>'
        '<use href="#one.clip1"/><text>0.0625</text></svg>'
    )


def test_the_longest_drawings_are_left_out_if_all_are_too_long(folder, monkeypatch):
    assert that_fit({"a": "1" * 5, "b": "1" * 9, "c": "1" * 4}, most=10) == {"a": "1" * 5, "c": "1" * 4}
    monkeypatch.setattr("harness.report.page.that_fit", lambda svgs: that_fit(svgs, most=30_000))
    elements = Elements(page_of(folder))
    drawn = {each["in"][-2]["id"] for each in elements.all("svg")}
    assert 0 < len(drawn) < len(reports.FIGURES)
    links = {each["href"] for each in elements.all("a") if each["href"].endswith(".svg")}
    assert links == {f"figures/{name}.svg" for name in reports.FIGURES - drawn}
    # An image may not contain a link.
    images = [each for each in elements.found if each.get("role") == "img" and each["text"]]
    assert not [each for each in elements.all("a") if any(image in each["in"] for image in images)]


def test_the_page_ends_with_what_to_run_next_and_a_glossary(folder, monkeypatch):
    step = NextStep(f"make bench {reports.MARKUP}", "Five seeds, in about 60 s.")
    monkeypatch.setattr("harness.report.page.next_steps", lambda summary, speed: [step])
    elements = Elements(page_of(folder))
    assert [words(each) for each in elements.all(within="next") if each["name"] in ("dt", "dd")] == [
        step.command,
        step.why,
    ]
    terms = {words(each) for each in elements.all("dt", within="glossary")}
    assert {"row", "claim", "verdict", "outcome", "engine", "lease", "time to accuracy"} <= terms


def test_the_next_steps_link_to_the_claims_that_they_may_decide(folder, monkeypatch):
    """The other inconclusive claims are listed after them."""
    changed(folder, lambda summary: [each.update(verdict=INCONCLUSIVE) for each in summary["claims"]])
    claims = load_run(folder).summary.claims
    step = NextStep("make bench", "Five seeds.", (claims[1],))
    monkeypatch.setattr("harness.report.page.next_steps", lambda summary, speed: [step])
    elements = Elements(page_of(folder))
    links = elements.all("a", within="next")
    others = [each for each in claims if each is not claims[1]]
    assert [words(each) for each in links] == [each.text for each in (claims[1], *others)]
    ids = {each.get("id") for each in elements.found}
    assert {each["href"].removeprefix("#") for each in links} <= ids
    assert [words(each) for each in elements.all("summary", within="next")] == [
        "Which claims?",
        "Inconclusive for other reasons, which their evidence gives",
    ]


def test_a_run_of_one_row_without_claims_or_published_figures(tmp_path):
    row = next(each for each in reports._rows() if each[0] == 1)
    reports.write_rows(tmp_path / "run", {row[1]: row[2]}, seeds=1)
    changed(tmp_path / "run", lambda summary: summary.update(claims=[]))
    changed(tmp_path / "run", lambda summary: summary["exercises"][0].update(claims=[]))
    elements = Elements(page_of(tmp_path / "run"))
    (title,) = elements.all("h1")
    assert words(title) == "1 row, trained"
    assert elements.all(within="verdicts") == elements.all("div", "claims") == []
    assert [words(each) for each in elements.all("h3", within="1-x")][1] == "Results"
    headers = [words(each) for each in elements.all("th") if each["scope"] == "col"]
    assert headers == ["row", "test accuracy, after 4 epochs", "time (s)", "epochs to 90 %", "outcome"]


def test_the_largest_differences_and_all_guesses_are_listed_in_one_place(folder):
    def declare(summary):
        summary["exercises"][0]["guesses"] = ["One.", f"Two {reports.MARKUP}."]
        for case, accuracy in zip(summary["cases"], (0.5, None, 0.99, 0.2), strict=False):
            case["paper"] = {"test_accuracy": accuracy, "seconds": None, "remark": ""}

    for path in (folder / "runs").glob("*.json"):
        record = sealed.read_content(path)
        if "paper" in record:
            record["paper"]["test_accuracy"] = None
            sealed.write_content(path, record)
    changed(folder, declare)
    run = load_run(folder)
    points = [
        100 * (sum(case.test_accuracy) / len(case.test_accuracy) - case.paper.test_accuracy)
        for case in run.summary.cases
        if case.paper.test_accuracy is not None
    ]
    page = Elements(page_of(folder))
    listed = [words(each) for each in page.found if each["name"] == "li" and "points" in words(each)]
    largest = sorted(points, key=lambda each: -abs(each))
    assert len(points) == 7
    assert len(listed) == len(points)
    for line, point in zip(listed, largest, strict=True):
        assert f"{format_points(point)} points" in line
    (guesses,) = [
        words(each) for each in page.found if "One. Two" in words(each) and each["name"] == "li"
    ]
    assert guesses.endswith(f"One. Two {reports.MARKUP}.")


def test_the_heading_counts_the_claims_by_verdict(folder):
    claims = load_run(folder).summary.claims
    assert len(claims) == 4
    (title,) = Elements(page_of(folder)).all("h1")
    assert words(title) == "1 of 4 claims holds, 1 does not, 2 stay open"
    changed(folder, lambda summary: [each.update(verdict="reproduced") for each in summary["claims"]])
    page = Elements(page_of(folder))
    (title,) = page.all("h1")
    assert words(title) == "4 of 4 claims hold, 0 do not"
    (box,) = page.all("li", within="verdicts")
    assert words(box).startswith("4 ✓ reproduced ")


def test_the_header_names_the_epochs_and_one_seed_is_said_once(tmp_path, elements):
    (meta, *_) = elements.all("p", "meta")
    assert re.search(r" scale, \d+( to \d+)? epochs?, \d+ seeds each, on ", words(meta))
    assert not any(each.get("id") == "one-seed" for each in elements.found)
    row = next(each for each in reports._rows() if each[0] == 1)
    reports.write_rows(tmp_path / "run", {row[1]: row[2]}, seeds=1)
    alone = Elements(page_of(tmp_path / "run"))
    (said,) = [each for each in alone.found if each.get("id") == "one-seed"]
    assert words(said).startswith("Everything here rests on one seed")
    assert " scale, 4 epochs, one seed each, on " in words(alone.all("p", "meta")[0])
