"""`make bisect`: the commit that made a row worse is found, and the user's checkout is left alone."""

import functools
import itertools
import json
import math
import os
import re
import signal
import subprocess
from types import SimpleNamespace

import pytest

import harness.ab.comparison as comparison
from harness.__main__ import main
from harness.ab import bisection
from harness.ab.bisection import bisect, check_range
from harness.ab.turns import SelectedRow
from harness.commands import bisect as command
from harness.processes import environment

CASE = "bench/test_x.py::test_training[sgd]"


def run_git(folder, *arguments):
    given = ["git", "-c", "user.name=n", "-c", "user.email=e", *arguments]
    ran = subprocess.run(given, cwd=folder, check=True, capture_output=True, env=environment())
    return ran.stdout.decode().strip()


@pytest.fixture
def repository(tmp_path):
    """Ten commits after the first; the number in `n.txt` says which one is checked out."""
    folder = tmp_path / "a repository"
    folder.mkdir()
    run_git(folder, "init", "-q")
    for number in range(11):
        (folder / "n.txt").write_text(str(number))
        run_git(folder, "add", ".")
        run_git(folder, "commit", "-qm", f"commit {number}")
    return folder


def commit(repository, number):
    return run_git(repository, "rev-parse", f"HEAD~{10 - number}")


def found(repository, verdict, first=0, last=10):
    """Bisects, with the verdict on each commit by its number; returns the candidates' numbers."""
    ends = commit(repository, first), commit(repository, last)
    asked = []

    def judge(folder):
        number = int((folder / "n.txt").read_text())
        asked.append(number)
        return verdict(number), f"number {number}"

    *_, known = bisect(repository, *ends, judge, "the end")
    assert [each.figures for each in known.judged] == ["the end", *(f"number {n}" for n in asked)]
    numbers = {commit(repository, number): number for number in range(11)}
    return sorted(numbers[each] for each in known.candidates), len(asked)


def state(repository):
    return (
        run_git(repository, "status", "--porcelain=v2", "--branch"),
        run_git(repository, "for-each-ref"),
        run_git(repository, "worktree", "list"),
    )


class TestBisection:
    @pytest.mark.parametrize("first_bad", range(1, 11))
    def test_each_commit_is_found(self, repository, first_bad):
        before = state(repository)
        candidates, asked = found(repository, lambda n: "bad" if n >= first_bad else "good")
        assert candidates == [first_bad]
        assert asked <= 4
        assert state(repository) == before

    def test_neighbours_need_no_comparison(self, repository):
        assert found(repository, lambda _: pytest.fail("asked"), 4, 5) == ([5], 0)

    def test_a_commit_that_cannot_be_decided_is_skipped(self, repository):
        candidates, _ = found(
            repository, lambda n: "skip" if n in (4, 5) else "bad" if n > 7 else "good"
        )
        assert candidates == [8]

    def test_if_the_first_is_among_those_skipped_all_of_them_are_named(self, repository):
        candidates, _ = found(
            repository, lambda n: "skip" if n in (4, 5) else "bad" if n > 5 else "good"
        )
        assert candidates == [4, 5, 6]

    def test_if_all_are_skipped_all_are_named(self, repository):
        assert found(repository, lambda _: "skip")[0] == list(range(1, 11))

    def test_languages_do_not_matter(self, repository, monkeypatch):
        monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
        monkeypatch.setenv("LANGUAGE", "de")
        assert found(repository, lambda n: "bad" if n >= 3 else "good")[0] == [3]

    def test_a_bisection_of_the_users_own_goes_on(self, repository):
        numbers = [commit(repository, number) for number in range(11)]
        run_git(repository, "bisect", "start", "HEAD", "HEAD~8")
        before = state(repository), run_git(repository, "bisect", "log")
        *_, known = bisect(repository, numbers[0], numbers[10], lambda _: ("bad", ""), "")
        assert known.candidates == [numbers[1]]
        assert (state(repository), run_git(repository, "bisect", "log")) == before

    @pytest.mark.parametrize("end", [KeyboardInterrupt, OSError])
    def test_an_end_in_the_middle_leaves_no_worktree(self, repository, end):
        before = state(repository)

        def judge(folder):
            raise end

        with pytest.raises(end):
            [*bisect(repository, commit(repository, 0), commit(repository, 10), judge, "")]
        assert state(repository) == before

    def test_if_git_fails_otherwise_the_search_ends(self, repository, monkeypatch):
        def failing(folder, *arguments):
            if arguments == ("bisect", "good"):
                raise ValueError("git bisect: the disk is full")
            return git(folder, *arguments)

        git, asked = bisection.git, []
        monkeypatch.setattr(bisection, "git", failing)
        with pytest.raises(ValueError, match="the disk is full"):
            found(repository, lambda n: asked.append(n) or "good" if not asked else pytest.fail("again"))

    def test_a_range_is_checked(self, repository):
        numbers = [commit(repository, number) for number in range(11)]
        assert check_range(repository, numbers[2], numbers[9]) == 7
        with pytest.raises(
            ValueError, match=f"GOOD and BAD are one commit, {numbers[3][:10]}; expected"
        ):
            check_range(repository, numbers[3], numbers[3])
        with pytest.raises(ValueError, match="not an ancestor of BAD"):
            check_range(repository, numbers[3], numbers[1])
        run_git(repository, "switch", "-q", "--detach", numbers[5])
        run_git(repository, "commit", "-q", "--allow-empty", "-m", "aside")
        aside = run_git(repository, "rev-parse", "HEAD")
        with pytest.raises(ValueError, match="not an ancestor of BAD"):
            check_range(repository, aside, numbers[10])


class TestCommand:
    @pytest.fixture
    def compared(self, repository, tmp_path, monkeypatch):
        """Makes comparisons up: the ratio, and the drop in points, by the head's number."""
        settings = SimpleNamespace(
            report_dir=tmp_path / "report", device="cpu", scale="quick", seeds=(0,)
        )
        rows = [
            SimpleNamespace(case=CASE.replace("[sgd]", f"[{name}]"), name=name)
            for name in ("sgd", "adam")
        ]
        rows.append(SimpleNamespace(case="bench/test_y.py::test_training[adam]", name="adam"))
        selection = command.Selection(rows, settings, repository)
        monkeypatch.setattr(command, "select", lambda _: selection)
        monkeypatch.setattr(command, "rows_in_words", lambda found: found.words)
        asked = []

        def compared(speed=lambda _: "same", learning=lambda _: "identical", error=lambda _: None):
            def compare(chosen, base, head, *, percent, points):
                assert [row.case for row in chosen.rows] == [CASE]
                assert (base.folder / "n.txt").read_text() == "0"
                number = int((head.folder / "n.txt").read_text())
                asked.append((number, round(percent, 3), round(points, 3)))
                if error(number):
                    raise ValueError(error(number))
                return SimpleNamespace(
                    passes={CASE: []},
                    errors={},
                    percent=percent,
                    points=points,
                    outcome="undecided" if speed(number) == "undecided" else "held",
                    speeds={
                        CASE: SimpleNamespace(
                            speed=speed(number), difference=SimpleNamespace(estimate=0.2)
                        )
                    },
                    changes={CASE: SimpleNamespace(outcome=learning(number), before=0.9, now=0.87)},
                    words=f"figures of {number}",
                )

            monkeypatch.setattr(command, "compare_checkouts", compare)
            return asked

        return compared

    def bisected(self, *arguments, row="sgd", good="HEAD~10", bad="HEAD"):
        return main(["bisect", row, good, bad, *arguments])

    def test_the_commit_since_which_a_row_is_slower(self, compared, repository, tmp_path, capsys):
        asked = compared(lambda number: "slower" if number >= 7 else "same")
        (repository / "n.txt").write_text("not committed")
        before = state(repository)
        assert self.bisected() == 0
        out = capsys.readouterr().out
        first = commit(repository, 7)
        assert f'The first commit at which the row is slower: {first} "commit 7"\n' in out
        assert "Compared with GOOD: figures of 7\n" in out
        assert "10 commits to search by time, in about 4 comparisons" in out
        # The ends are compared with the thresholds given, the others with the step that was found.
        assert asked[0] == (10, 10, 1)
        assert {percent for _, percent, _ in asked[1:]} == {22.14}
        written = json.loads((tmp_path / "report" / "bisect.json").read_text())
        assert written["first_bad"] == [first]
        assert written["bad"] == commit(repository, 10)
        assert written["compared_with_good"][0]["figures"] == "figures of 10"
        assert (repository / "n.txt").read_text() == "not committed"
        assert state(repository) == before

    def test_the_commit_since_which_a_row_learns_worse(self, compared, repository, capsys):
        asked = compared(learning=lambda number: "fell" if number >= 2 else "identical")
        assert self.bisected(row=CASE) == 0
        assert f"The first commit at which the row learns worse: {commit(repository, 2)}" in (
            capsys.readouterr().out
        )
        assert {points for _, _, points in asked[1:]} == {3}

    def test_of_both_the_measure_chooses(self, compared, repository, capsys):
        compared(
            lambda number: "slower" if number >= 7 else "same",
            lambda number: "fell" if number >= 2 else "identical",
        )
        assert self.bisected("--measure", "accuracy") == 0
        assert commit(repository, 2) in capsys.readouterr().out
        assert self.bisected() == 2
        assert "bisect.json" in capsys.readouterr().err

    def test_what_cannot_be_compared_is_skipped(self, compared, repository, capsys):
        compared(
            lambda number: "slower" if number > 5 else "same",
            error=lambda number: "nothing can be compared: no module" if number in (4, 5) else None,
        )
        assert self.bisected() == 3
        out = capsys.readouterr().out
        assert "skip:" in out
        assert "nothing can be compared: no module" in out
        for number in (4, 5, 6):
            assert f'  {commit(repository, number)[:10]} "commit {number}"\n' in out

    @pytest.mark.parametrize(
        ("given", "line"),
        [
            (
                {"row": "sgdd"},
                "ROW is 'sgdd'; expected a row's node id or name, such as sgd",
            ),
            (
                {"row": "zzz"},
                "ROW is 'zzz'; expected a row's node id or name, such as "
                f"{CASE}, bench/test_x.py::test_training[adam], bench/test_y.py::test_training[adam]",
            ),
            (
                {"row": "adam"},
                "ROW is 'adam', which several exercises have; expected one of "
                "bench/test_x.py::test_training[adam], bench/test_y.py::test_training[adam]",
            ),
            ({"good": "HEAD~11"}, "GOOD is 'HEAD~11'; expected a commit, branch or tag of {folder}"),
            ({"bad": ""}, "BAD is ''; expected a commit, branch or tag of {folder}"),
            (
                {"good": "HEAD~2", "bad": "HEAD~2"},
                "GOOD and BAD are one commit, {head2}; expected two",
            ),
            (
                {"good": "HEAD", "bad": "HEAD~2"},
                "GOOD is {head}, which is not an ancestor of BAD, {head2}; expected one",
            ),
        ],
    )
    def test_bad_arguments_are_refused_in_one_line(self, compared, repository, capsys, given, line):
        compared(lambda _: pytest.fail("compared"))
        assert self.bisected(**given) == 2
        expected = line.format(
            folder=repository, head=commit(repository, 10)[:10], head2=commit(repository, 8)[:10]
        )
        assert capsys.readouterr().err.splitlines() == [expected]

    @pytest.mark.parametrize("speed", ["same", "faster"])
    def test_there_must_be_something_to_find(self, compared, capsys, speed):
        compared(lambda _: speed)
        assert self.bisected() == 2
        assert capsys.readouterr().err.splitlines() == [
            "BAD is not worse than GOOD (figures of 10); expected a row that is slower or learns worse"
        ]

    def test_ends_that_cannot_be_trained_are_no_step(self, compared, repository, capsys, monkeypatch):
        compared()
        compare = command.compare_checkouts

        def failing(*given, **thresholds):
            found = compare(*given, **thresholds)
            found.errors[CASE] = ValueError("head: no module")
            return found

        monkeypatch.setattr(command, "compare_checkouts", failing)
        assert self.bisected() == 2
        assert capsys.readouterr().err.splitlines() == ["GOOD and BAD cannot be compared: figures of 10"]

    def test_ends_that_cannot_be_decided(self, compared, capsys):
        compared(lambda _: "undecided")
        assert self.bisected() == 3
        assert "Inconclusive: whether BAD is worse is not known (figures of 10)." in (
            capsys.readouterr().out
        )

    @pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
    @pytest.mark.parametrize("when", [10, 5])
    def test_an_interruption_leaves_no_worktree(self, compared, repository, capsys, end, when):
        def speed(number):
            if number == when:
                os.kill(os.getpid(), end)
            return "slower"

        before, handler = state(repository), signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            compared(speed)
            assert self.bisected() == 130
        finally:
            signal.signal(signal.SIGINT, handler)
        assert state(repository) == before
        assert capsys.readouterr().err == "Interrupted.\n"


class MadeUpSides:
    """Sides without processes: they are slower and learn worse by the number of their commit."""

    def __init__(self, *checkouts, slower_from=7, worse_from=4):
        numbers = [int((each.folder / "n.txt").read_text()) for each in checkouts]
        self._slow = [1.1 if number >= slower_from else 1.0 for number in numbers]
        self._drop = [0.05 if number >= worse_from else 0.0 for number in numbers]
        self._jitter = itertools.count()

    def sides(self):
        return tuple(SimpleNamespace(ask=functools.partial(self._ask, at)) for at in (0, 1))

    def close(self):
        pass

    def _ask(self, at, do, **request):
        if do == "prepare":
            row = {"engine": "eager", "cores": 1, "epochs": 2, "batch_size": 10, "examples": 1000}
            return {**row, "experiment": {}, "targets": [0.9]}
        if do == "build":
            self._seeds = request["seeds"]
        if do == "turn":
            noise = 1 + 0.01 * math.sin(next(self._jitter))
            return {"seconds": 1e-3 * request["examples"] * self._slow[at] * noise}
        return {"accuracy": [0.95 - self._drop[at] + 0.001 * math.sin(seed) for seed in self._seeds]}


@pytest.mark.parametrize(("measure", "first_bad"), [("time", 7), ("accuracy", 4)])
def test_decisions_on_real_worktrees_lead_to_the_commit(
    repository, tmp_path, monkeypatch, capsys, measure, first_bad
):
    """Everything is real but the processes that train."""
    settings = SimpleNamespace(report_dir=tmp_path / "report", device="cpu", scale="quick", seeds=(0, 1))
    row = SelectedRow(CASE, "bench.test_x", "sgd", {"device": "cpu"})
    monkeypatch.setattr(command, "select", lambda _: command.Selection([row], settings, repository))
    monkeypatch.setattr(comparison, "Pair", MadeUpSides)
    monkeypatch.setattr(comparison, "available_cores", lambda: [0])
    before = state(repository)
    assert main(["bisect", CASE, "HEAD~10", "HEAD", "--measure", measure]) == 0
    out = capsys.readouterr().out
    line = next(line for line in out.splitlines() if line.startswith("The first commit at which "))
    assert line.endswith(f'{commit(repository, first_bad)} "commit {first_bad}"')
    ratio = float(re.search(r"Compared with GOOD: .*ratio ([0-9.]+) ", out)[1])
    assert ratio == pytest.approx(1.1 if measure == "time" else 1.0, abs=0.01)
    written = json.loads((tmp_path / "report" / "bisect.json").read_text())
    assert {each["verdict"] for each in written["compared_with_good"]} == {"good", "bad"}
    assert state(repository) == before
