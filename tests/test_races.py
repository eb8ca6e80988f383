"""Races by construction: what another process does between two steps of this one is done right there.

Two locks of one process exclude each other like those of two, as each opens its file anew.
"""

import fcntl
import os
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from filelock import FileLock, Timeout

from harness import ownership, run_folders
from harness.commands import prune, publish
from harness.files.names import file_name
from harness.files.record import MeasurementRecord
from harness.hardware import lease, lock_file
from harness.hardware.lock_file import Holder, holders, lock
from harness.results import report_folder, store
from harness.results.report_folder import ReportFolder
from harness.results.store import Store
from tests import reports

NAME = "bench/test_1_x.py::measured"
KEY = {"run": reports.RUN}


def measurement():
    return {"device": "cpu", "seeds": [0], "measured": [{"a": 1}]}


def leave_a_run(folder):
    """Writes what another session's run leaves in a report folder."""
    ownership.make(folder)
    Store(folder).create()
    reports.write_record(folder, {"id": NAME, **KEY, **measurement()})


# Locks and leases -------------------------------------------------------------------------------------


def test_a_lock_has_one_holder(tmp_path):
    path, ours = tmp_path / "a.lock", Holder(os.getpid(), "ours")
    with lock(path, ours):
        for _ in range(2):  # two that ask
            with pytest.raises(Timeout), lock(path, Holder(1, "theirs"), wait=False):
                pass
        assert holders(tmp_path, ["a"]) == [ours]
    assert holders(tmp_path, ["a"]) == []
    with lock(path, ours, wait=False):
        pass


def test_who_waits_asks_for_the_lock_alone(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(lock_file.fcntl, "flock", lambda file, how: asked.append(how))
    for wait in (True, False):
        with lock(tmp_path / "a.lock", Holder(1, "a"), wait=wait):
            pass
    assert asked == [fcntl.LOCK_EX, fcntl.LOCK_EX | fcntl.LOCK_NB]


@pytest.fixture
def locks(monkeypatch, tmp_path):
    """The locks that a lease takes and releases, in order; the user's folder is another one."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(lease, "available_cores", lambda: [0, 1, 2])
    monkeypatch.setattr(lease, "_POLL_SECONDS", 0)
    done = []
    real = lease.lock

    @contextmanager
    def recorded(path, holder, *, wait=True):
        with real(path, holder, wait=wait):
            done.append(f"+{path.stem}")
            try:
                yield
            finally:
                done.append(f"-{path.stem}")

    monkeypatch.setattr(lease, "lock", recorded)
    return done


def test_resources_are_collected_by_who_holds_the_turnstile(locks):
    """It gives it back when it has them all, before it trains."""
    with lease.hold_cores(2) as held:
        assert held == [0, 1]
        assert locks == ["+turnstile", "+core-0", "+core-1", "-turnstile"]
    assert locks[4:] == ["-core-1", "-core-0"]


def test_who_has_some_of_its_cores_waits_at_the_turnstile_for_the_others(locks, monkeypatch):
    """Another process holds cores 0 and 2, and gives core 2 back while this one waits."""
    other = lock_file.lock_folder() / "core-0.lock", lock_file.lock_folder() / "core-2.lock"
    with lock(other[0], Holder(1, "other")):
        second = lock(other[1], Holder(1, "other"))
        second.__enter__()

        def ends(_):
            assert locks == ["+turnstile", "+core-1"]  # it has one, and nobody else may collect
            with (
                pytest.raises(Timeout),
                lock(other[0].with_name("turnstile.lock"), Holder(1, ""), wait=False),
            ):
                pass
            second.__exit__(None, None, None)

        monkeypatch.setattr(lease, "time", SimpleNamespace(sleep=ends))
        with lease.hold_cores(2) as held:
            assert held == [1, 2]


def test_a_lease_that_is_interrupted_gives_everything_back(locks, monkeypatch):
    with lock(lock_file.lock_folder() / "core-2.lock", Holder(1, "other")):

        def interrupted(_):
            raise KeyboardInterrupt

        monkeypatch.setattr(lease, "time", SimpleNamespace(sleep=interrupted))
        with pytest.raises(KeyboardInterrupt), lease.hold_cores(3):
            pass
    assert sorted(each[1:] for each in locks if each[0] == "+") == ["core-0", "core-1", "turnstile"]
    assert sorted(each[1:] for each in locks if each[0] == "-") == ["core-0", "core-1", "turnstile"]


# Report folders ---------------------------------------------------------------------------------------


def when_locking(monkeypatch, do, module=report_folder):
    """Does something just before this session gets a lock, as a session that ended then has done it."""

    class Lock(FileLock):
        def acquire(self, *args, **kwargs):
            do(self)
            return super().acquire(*args, **kwargs)

    monkeypatch.setattr(module, "FileLock", Lock)


def test_a_run_that_ends_before_the_lock_is_free_is_not_overwritten(monkeypatch, tmp_path):
    folder = tmp_path / "report"
    when_locking(monkeypatch, lambda _: leave_a_run(folder))
    with pytest.raises(pytest.UsageError, match="which has an earlier run"):
        ReportFolder(folder, fingerprint=reports.RUN, resume=False)
    assert [*(folder / "runs").iterdir()]


def test_of_two_sessions_that_create_a_folder_the_second_leaves_it_to_the_first(monkeypatch, tmp_path):
    """Both find none. The second, refused as the first has the lock, must not remove the new folder."""
    folder = tmp_path / "report"
    taken = []

    def first_has_it(asked):
        if not taken:
            taken.append(FileLock(asked.lock_file))
            taken[0].acquire()

    when_locking(monkeypatch, first_has_it)
    with pytest.raises(pytest.UsageError, match="which another session is writing to"):
        ReportFolder(folder, fingerprint=reports.RUN, resume=False)
    assert ownership.owns(folder)
    assert (folder / "locks" / "session.lock").exists()
    taken[0].release()


def test_a_session_that_ends_does_not_unlink_the_next_ones_lock(monkeypatch, tmp_path):
    """As soon as it releases its lock, another session locks the folder."""
    folder = tmp_path / "report"
    begun = []

    class Lock(FileLock):
        def release(self, *args, **kwargs):
            super().release(*args, **kwargs)
            if not begun:
                begun.append(FileLock(self.lock_file))
                begun[0].acquire(timeout=0)

    ReportFolder(folder, fingerprint=reports.RUN, resume=False).close()
    assert not folder.exists()
    leave_a_run(folder)
    monkeypatch.setattr(report_folder, "FileLock", Lock)
    report = ReportFolder(folder, fingerprint=reports.RUN, resume=True)
    # Otherwise the locks' folder is removed before.
    monkeypatch.setattr(Store, "close", lambda self: None)
    report.close()
    assert (folder / "locks" / "session.lock").exists()
    begun[0].release()


def test_a_folder_is_deleted_by_who_holds_its_lock(monkeypatch, tmp_path):
    leave_a_run(tmp_path / "report")
    path = tmp_path / "report" / "locks" / "session.lock"
    path.touch()

    def remove(folder):
        with pytest.raises(Timeout):
            FileLock(path, timeout=0).acquire()
        removed.append(folder)

    removed = []
    monkeypatch.setattr(ownership, "remove", remove)
    prune._delete(tmp_path / "report")
    assert removed == [tmp_path / "report"]
    with FileLock(path), pytest.raises(OSError, match="a session is writing to it"):
        prune._delete(tmp_path / "report")
    assert len(removed) == 1


def test_the_link_to_the_newest_run_is_never_missing(monkeypatch, tmp_path):
    old, new = (tmp_path / f"2026-01-0{day}_00-00-00.000" for day in (1, 2))
    for folder in (old, new):
        folder.mkdir()
    run_folders.lead_to(old)
    seen = []
    replace = os.replace

    def looked_at(source, target):
        seen.append(os.readlink(target))
        replace(source, target)

    monkeypatch.setattr(run_folders.os, "replace", looked_at)
    run_folders.lead_to(new)
    assert seen == [old.name]
    assert os.readlink(tmp_path / "latest") == new.name
    assert sorted(path.name for path in tmp_path.iterdir()) == [old.name, new.name, "latest"]


# Records ----------------------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path):
    ownership.make(tmp_path / "report")
    Store(tmp_path / "report").create()
    return Store(tmp_path / "report")


def test_a_record_is_made_once(kept):
    made = []

    def make():
        made.append(1)
        return measurement()

    for _ in range(2):
        found = kept.get_or_make(MeasurementRecord, NAME, KEY, make)
        assert found.measured == [{"a": 1}]
    assert len(made) == 1


def test_who_waited_for_a_record_takes_it(monkeypatch, kept, tmp_path):
    """Another worker writes it before it releases the lock that this one waits for."""
    when_locking(
        monkeypatch,
        lambda _: reports.write_record(tmp_path / "report", {"id": NAME, **KEY, **measurement()}),
        module=store,
    )
    made = []
    found = kept.get_or_make(MeasurementRecord, NAME, KEY, lambda: made.append(1) or measurement())
    assert (found.measured, made) == ([{"a": 1}], [])


def test_a_record_is_made_under_its_lock(kept, tmp_path):
    path = tmp_path / "report" / "locks" / f"{file_name(NAME, KEY)}.lock"

    def make():
        with pytest.raises(Timeout):
            FileLock(path, timeout=0).acquire()
        with FileLock(path.with_name("another.lock"), timeout=0):  # other records are made meanwhile
            pass
        return measurement()

    kept.get_or_make(MeasurementRecord, NAME, KEY, make)


def test_of_two_timings_one_is_first(kept, tmp_path):
    others = Store(tmp_path / "report")
    assert [each.is_first_timing(NAME, KEY) for each in (kept, others, kept)] == [True, False, False]
    assert others.is_first_timing(f"{NAME}2", KEY)


# Publishing -------------------------------------------------------------------------------------------


def test_of_two_that_publish_one_is_refused(tmp_path):
    published = tmp_path / "published"
    with publish._alone(published):
        for _ in range(2):
            with (
                pytest.raises(ValueError, match="another `publish` is writing to"),
                publish._alone(published),
            ):
                pass
    with publish._alone(published):
        pass


def test_what_is_replaced_is_checked_and_replaced_under_one_lock(monkeypatch, tmp_path):
    """Between a check outside the lock and the lock, another process could publish under that name."""
    done = []

    def alone(what):
        with (
            pytest.raises(ValueError, match="another `publish`"),
            publish._alone(tmp_path / "published"),
        ):
            pass
        done.append(what)

    study = SimpleNamespace(
        published=tmp_path / "published", study=SimpleNamespace(documents=()), documents=[]
    )
    monkeypatch.setattr(
        publish,
        "load_run",
        lambda _: SimpleNamespace(left_out=[], summary=SimpleNamespace(shard=None, exercises=[])),
    )
    monkeypatch.setattr(publish, "root_of", lambda *_: None)
    monkeypatch.setattr(ownership, "owns", lambda _: alone("owns") or True)
    monkeypatch.setattr(publish, "_check_committed", lambda _: alone("committed"))
    monkeypatch.setattr(publish, "keep_run", lambda *_: alone("kept"))
    publish.publish_run(tmp_path / "run", "name", study)
    assert done == ["owns", "committed", "kept"]
