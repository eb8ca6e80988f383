"""The formats of services, read by their readers or checked against what these publish.

The schemas are transcribed from the services' sources, which each names.
"""

import json
import xml.etree.ElementTree as ET
from itertools import pairwise

import jsonschema
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from harness.__main__ import main
from harness.plugin import job_summary
from harness.stats import mean_and_interval
from tests import reports

# https://github.com/benchmark-action/github-action-benchmark, src/extract.ts: the interface
# BenchmarkResult, of which `extractCustomBenchmarkResult` reads a list; `extractResult` refuses an empty
# one.
GITHUB = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["name", "value", "unit"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string"},
            "value": {"type": "number"},
            "unit": {"type": "string"},
            "range": {"type": "string"},
            "extra": {"type": "string"},
        },
    },
}

# https://github.com/bencherdev/bencher, lib/bencher_adapter/src/adapters/json/v0.rs (a map of benchmark
# names to maps of measures to metrics), lib/bencher_json/src/project/metric/mod.rs (JsonNewMetric) and
# lib/bencher_valid/src/benchmark_name.rs (a name has at most 1,024 bytes).
BENCHER = {
    "type": "object",
    "propertyNames": {"minLength": 1, "maxLength": 1024},
    "additionalProperties": {
        "type": "object",
        "propertyNames": {"pattern": "^[a-z0-9-]{1,64}$"},
        "additionalProperties": {
            "type": "object",
            "required": ["value"],
            "additionalProperties": False,
            "properties": {
                "value": {"type": "number"},
                "lower_value": {"type": ["number", "null"]},
                "upper_value": {"type": ["number", "null"]},
            },
        },
    },
}

# https://github.com/jenkinsci/xunit-plugin, src/main/resources/org/jenkinsci/plugins/xunit/types/model/
# xsd/junit-10.xsd, which pytest's junit_family xunit2 follows: each element's attributes, the required
# ones marked with "!", and its children.
XUNIT2 = {
    "testsuites": ("name time tests failures errors", "testsuite"),
    "testsuite": (
        "name! tests! failures! errors! group time skipped timestamp hostname id package file log url",
        "testsuite properties testcase system-out system-err",
    ),
    "properties": ("", "property"),
    "property": ("name! value!", ""),
    "testcase": (
        "name! time classname group",
        "skipped error failure rerunFailure rerunError flakyFailure flakyError system-out system-err",
    ),
    "skipped": ("type message", ""),
    "error": ("type message", ""),
    "failure": ("type message", ""),
    "system-out": ("", ""),
    "system-err": ("", ""),
}


def check_xunit2(element):
    attributes, children = (part.split() for part in XUNIT2[element.tag])
    assert {*element.attrib} <= {name.rstrip("!") for name in attributes}
    assert {name[:-1] for name in attributes if name.endswith("!")} <= {*element.attrib}
    for child in element:
        assert child.tag in children, f"<{element.tag}> may not contain <{child.tag}>"
        check_xunit2(child)


@pytest.fixture
def folder(tmp_path):
    reports.write(tmp_path / "run", seeds=3)
    return tmp_path / "run"


@pytest.fixture
def cases(folder):
    """Returns the summary's entry and the record's fastest epoch of each row, by node id."""
    fastest = {}
    for path in (folder / "runs").glob("*.json"):
        record = json.loads(path.read_text())
        if times := record.get("epoch_seconds"):
            fastest[record["id"]] = min(b - a for a, b in pairwise(times))
    summary = json.loads((folder / "summary.json").read_text())
    return {case["id"]: (case, fastest[case["id"]]) for case in summary["cases"]}


def exported(folder, name, capsys):
    assert main(["export", str(folder), "--format", name]) == 0
    return capsys.readouterr().out


def test_github_action_benchmark_reads_times(folder, cases, capsys):
    entries = json.loads(exported(folder, "github-smaller", capsys))
    jsonschema.validate(entries, GITHUB)
    assert {entry["name"]: entry["value"] for entry in entries} == {
        case: seconds for case, (_, seconds) in cases.items()
    }


def test_github_action_benchmark_reads_accuracies(folder, cases, capsys):
    entries = json.loads(exported(folder, "github-bigger", capsys))
    jsonschema.validate(entries, GITHUB)
    for entry in entries:
        mean, low, _ = mean_and_interval(cases[entry["name"]][0]["test_accuracy"])
        assert entry["value"] == pytest.approx(mean)
        assert entry["range"] == f"± {mean - low:.4f}"


def test_bencher_reads_both(folder, cases, capsys):
    content = json.loads(exported(folder, "bencher", capsys))
    jsonschema.validate(content, BENCHER)
    assert {*content} == {*cases}
    for case, measures in content.items():
        summary, seconds = cases[case]
        mean, low, high = mean_and_interval(summary["test_accuracy"])
        assert measures["latency"] == {"value": pytest.approx(1e9 * seconds)}
        assert measures["accuracy"] == {
            "value": pytest.approx(mean),
            "lower_value": pytest.approx(low),
            "upper_value": pytest.approx(high),
        }


def test_one_seed_has_no_interval(tmp_path, capsys):
    reports.write(tmp_path / "one", seeds=1)
    content = json.loads(exported(tmp_path / "one", "bencher", capsys))
    jsonschema.validate(content, BENCHER)
    assert all([*measures["accuracy"]] == ["value"] for measures in content.values())
    assert all(
        "range" not in each for each in json.loads(exported(tmp_path / "one", "github-bigger", capsys))
    )


def test_prometheus_reads_openmetrics(folder, cases, capsys):
    families = {
        family.name: family
        for family in text_string_to_metric_families(exported(folder, "openmetrics", capsys))
    }
    assert {name: (each.type, each.unit) for name, each in families.items()} == {
        "minibatch_bench_run": ("info", ""),
        "minibatch_bench_epoch_seconds": ("gauge", "seconds"),
        "minibatch_bench_test_accuracy_ratio": ("gauge", "ratio"),
    }
    times = {
        f"{sample.labels['exercise']}::test_training[{sample.labels['row']}]": sample.value
        for sample in families["minibatch_bench_epoch_seconds"].samples
    }
    assert times == {case: seconds for case, (_, seconds) in cases.items()}
    accuracies = [sample.value for sample in families["minibatch_bench_test_accuracy_ratio"].samples]
    assert accuracies == [value for case, _ in cases.values() for value in case["test_accuracy"]]
    (about,) = families["minibatch_bench_run"].samples
    assert about.labels["device_name"] == reports.MACHINE["device_name"] + f" {reports.MARKUP}"


def test_labels_with_quotes_and_backslashes_are_read_back(folder, capsys):
    from harness.files import sealed

    content = json.loads((folder / "summary.json").read_text())
    del content["checksum"]
    content["machine"]["device_name"] = name = 'a "b" \\ c\nd'
    sealed.write_content(folder / "summary.json", content)
    families = [*text_string_to_metric_families(exported(folder, "openmetrics", capsys))]
    assert families[0].samples[0].labels["device_name"] == name


def test_an_export_is_written_to_a_file(folder, tmp_path, capsys):
    file = tmp_path / "x.json"
    assert main(["export", str(folder), "--format", "bencher", "--output", str(file)]) == 0
    assert capsys.readouterr().out == ""
    assert file.read_text() == exported(folder, "bencher", capsys)


def test_a_row_without_its_record_is_left_out_by_name(folder, cases, capsys):
    path = next((folder / "runs").glob("*sgd-lr0.1.*.json"))
    path.write_text("{")
    assert main(["export", str(folder), "--format", "bencher"]) == 0
    shown = capsys.readouterr()
    assert f"left out: {path} cannot be read" in shown.err
    missing = {*cases} - {*json.loads(shown.out)}
    assert [case.partition("[")[2] for case in missing] == ["sgd-lr0.1]"]


def test_a_report_without_records_is_refused(folder, capsys):
    for path in (folder / "runs").glob("*.json"):
        path.unlink()
    assert main(["export", str(folder), "--format", "bencher"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"{folder} has no row with a readable record; nothing was exported"
    )


# JUnit ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("args", [(), ("-n", "2")], ids=["serial", "n2"])
def test_junits_file_has_times_and_accuracies(suite, args):
    suite.run("--junitxml=x.xml", "--replicates", "2", *args).assert_outcomes(passed=6)
    root = ET.parse(suite.path / "x.xml").getroot()
    check_xunit2(root)
    found = {each.get("name"): each.get("value") for each in root.iter("property")}
    assert len(found) == 6 * 4
    case = "bench/test_1_fake.py::test_training[sgd-lr0.5]"
    assert float(found[f"{case} test_accuracy"]) == pytest.approx(0.9505)
    assert float(found[f"{case} seconds"]) == float(found[f"{case} seconds_per_epoch"]) == 0.5
    assert found[f"{case} outcome"] == "learned"


def test_a_file_that_breaks_xunit2_is_noticed():
    root = ET.fromstring(
        '<testsuites><testsuite name="a" tests="1" failures="0" errors="0">'
        '<testcase name="b"><properties/></testcase></testsuite></testsuites>'
    )
    with pytest.raises(AssertionError, match="<testcase> may not contain <properties>"):
        check_xunit2(root)


# GitHub's job summary -------------------------------------------------------------------------------


@pytest.fixture
def github(suite, monkeypatch):
    """The file of the job's summary."""
    path = suite.path / "step.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    return path


def test_the_job_summary_has_the_tables(suite, github):
    github.write_text("Before.\n")
    suite.run("-n", "2")
    assert github.read_text() == f"Before.\n{(suite.report / 'summary.md').read_text()}\n"


def test_a_long_job_summary_is_cut_after_a_paragraph(suite, github, monkeypatch):
    github.write_text("x" * 100)
    monkeypatch.setattr(job_summary, "_MOST", 2000)
    suite.run()
    text = github.read_text()
    assert len(text.encode()) <= 2000
    *kept, note = text[100:].rstrip("\n").split("\n\n")
    assert note == "The rest is in summary.md of the report folder."
    paragraphs = (suite.report / "summary.md").read_text().split("\n\n")
    assert len(kept) > 2
    assert kept == paragraphs[: len(kept)]


def test_nothing_is_summarised_without_a_report(suite, github):
    suite.run("--collect-only")
    assert not github.exists()


def test_a_job_summary_that_cannot_be_written_is_reported(suite, github):
    github.mkdir()
    suite.run().stdout.fnmatch_lines(["GitHub's job summary cannot be written: *Is a directory*"])
