"""A study: a folder with modules of exercises, whose conftest.py declares a `STUDY`.

    from harness.study import Study

    STUDY = Study(title="My optimizer", scales={"quick": 2, "full": 20})

`pytest FOLDER` then trains the rows of its exercises, decides its claims and draws its page. `bench/` is
a study as well.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from model.experiment import Experiment
from model.values import one_line, printable, shown, whole

from .exercise import Exercise, Row

STUDY_NAME = "STUDY"
CONFTEST = "conftest.py"


@dataclass(frozen=True, kw_only=True)
class Study:
    """The declaration of a study. Raises ValueError, naming the field, for an invalid value."""

    title: str
    about: str = ""
    """Its subject, in a sentence."""
    row: str = "row"
    """The word for a row in its tables."""
    published: str = "published"
    """The word in its tables for the results of the paper that it reproduces, if any."""
    scales: Mapping[str, int] = field(default_factory=lambda: {"full": 10})
    """The epochs of a training, by scale; an exercise may have others.

    The first scale is the default. At the last one, every claim can be decided.
    """
    home: str = "."
    """The folder of its `reports` and saved runs, relative to its own folder."""
    data_root: str = "data"
    """The folder of its data sets, to which missing ones are downloaded, relative to its own folder."""
    documents: tuple[str, ...] = ()
    """The paths of the documents that quote its published runs, relative to `home`."""

    def __post_init__(self) -> None:
        for name in ("title", "about", "row", "published", "home", "data_root"):
            printable(name, getattr(self, name))
        for name in ("title", "row", "published"):
            if not getattr(self, name).strip():
                raise ValueError(f"{name} is empty; expected text")
        if not isinstance(self.scales, Mapping) or not self.scales:
            raise ValueError(
                f"scales is {shown(self.scales)}; expected epochs by scale, such as {{'full': 10}}"
            )
        for scale, epochs in self.scales.items():
            if not (isinstance(scale, str) and scale.isascii() and scale.isidentifier()):
                raise ValueError(
                    f"scales contains {shown(scale)}; expected a name of letters, digits and _"
                )
            whole(f"scales[{scale!r}]", epochs)
        object.__setattr__(self, "scales", MappingProxyType({**self.scales}))
        if isinstance(self.documents, str) or not all(isinstance(each, str) for each in self.documents):
            raise ValueError(f"documents is {shown(self.documents)}; expected a tuple of paths")

    @property
    def default_scale(self) -> str:
        """The scale of a session without `--scale`."""
        return next(iter(self.scales))

    @property
    def full_scale(self) -> str:
        """The scale at which every claim can be decided."""
        return [*self.scales][-1]

    def epochs(self, exercise: Exercise, scale: str) -> int:
        """Returns the epochs of the exercise's trainings at that scale."""
        return exercise.epochs.get(scale, self.scales[scale])

    def check(self, exercise: Exercise) -> None:
        """Raises ValueError if the exercise has epochs for a scale that the study does not have."""
        if unknown := [scale for scale in exercise.epochs if scale not in self.scales]:
            raise ValueError(
                f"epochs contains {shown(unknown[0])}; expected a scale of the study: "
                f"{', '.join(self.scales)}"
            )

    def experiment(self, exercise: Exercise, row: Row, scale: str, dataset: str) -> Experiment:
        """Returns the experiment of a row at `scale`; see `Exercise.experiment`."""
        return exercise.experiment(row, self.epochs(exercise, scale), dataset)


@dataclass(frozen=True)
class StudyFolder:
    """A study and its folder, with absolute paths."""

    study: Study
    path: Path
    """The folder with its conftest.py."""

    @property
    def home(self) -> Path:
        """The folder of its reports and saved runs."""
        return (self.path / self.study.home).resolve()

    @property
    def reports(self) -> Path:
        """The folder of its report folders."""
        return self.home / "reports"

    @property
    def published(self) -> Path:
        """The folder of its published runs."""
        return self.reports / "published"

    @property
    def saved_runs(self) -> Path:
        """pytest-benchmark's storage, unless `--benchmark-storage` names another."""
        return self.home / ".benchmarks"

    @property
    def data_root(self) -> Path:
        """The folder of its data sets, unless `--data-root` names another."""
        return self.path / self.study.data_root

    @property
    def documents(self) -> tuple[Path, ...]:
        """The documents that quote its published runs."""
        return tuple(self.home / document for document in self.study.documents)


def study_of(module: object) -> StudyFolder | None:
    """Returns the study that a conftest.py declares, or None."""
    found, path = getattr(module, STUDY_NAME, None), getattr(module, "__file__", None)
    if not isinstance(found, Study) or path is None or Path(path).name != CONFTEST:
        return None
    return StudyFolder(found, Path(path).parent.resolve())


def load_study(folder: Path) -> StudyFolder:
    """Returns the study in `folder`. Raises ValueError, with a message of one line, if there is none."""
    path = folder / CONFTEST
    if not path.is_file():
        raise ValueError(f"{folder} is not a study: it has no {CONFTEST}")
    spec = importlib.util.spec_from_file_location("_study", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(
            f"{path} cannot be imported: {type(error).__name__}: {one_line(error)}"
        ) from None
    if (found := study_of(module)) is None:
        raise ValueError(f"{folder} is not a study: its {CONFTEST} has no {STUDY_NAME} = Study(...)")
    return found
