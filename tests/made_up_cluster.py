"""A cluster that is made up, in place of Ray's, whose trainings are those of `tests.fakes`."""

from __future__ import annotations

import threading
from types import MappingProxyType

import torch

from harness.cluster.driver import Finished
from harness.hardware.machine import describe_machine
from harness.results.records import to_record
from tests.fakes import train


class MadeUpCluster:
    """Stands in for `harness.cluster.driver.Cluster`; a thread ends the rows, one after another."""

    fails = MappingProxyType({})
    """The errors of the rows that fail, by name."""

    def __init__(self, address, settings, tell):
        self._settings, self._tell = settings, tell
        self._stopped = threading.Event()
        self._thread = None
        self.machine = describe_machine(torch.device("cpu")) | {"device_name": "Made up", "cores": 7}

    def about(self):
        return "2 made-up nodes"

    def start(self, study, rows, cases, done, show, asked):
        self._rows, self._done, self._show, self._asked = rows, done, show, asked
        self._tell(f"study: {study.name}; rows: {len(rows)}; submitted: {len(cases)}")
        self._thread = threading.Thread(target=self._watch, args=(sorted(cases),), daemon=True)
        self._thread.start()

    def close(self):
        self._stopped.set()
        if self._thread:
            self._thread.join()
            self._thread = None
            self._tell("the cluster is closed")

    def _watch(self, cases):
        for case in cases:
            self._train(case)
        while not self._stopped.wait(0.01):
            for case in self._asked():
                if case not in cases:  # else its test asked before it was finished
                    cases.append(case)
                    self._tell(f"asked for {case}")
                    self._train(case)

    def _train(self, case):
        row = self._rows[case]
        if row.row.name in self.fails:
            self._done(case, self.fails[row.row.name])
            return
        training = train(
            row.experiment,
            None,
            seeds=self._settings.seeds,
            engine="eager",
            observers=(),
            after_epoch=None,
        )
        record = to_record(training, threads=1, left_out={}, published=row.row.published)
        network = [
            torch.full((len(self._settings.seeds), *reversed(each.shape)), row.experiment.learning_rate)
            for each in row.experiment.network.build("default", 0).parameters()
        ]
        self._done(case, Finished(record, network))
