"""What is particular to this study: it reproduces an assignment."""

from harness.study import Study

STUDY = Study(
    title="SGD, Adam and a small network",
    about="An executable paper: each row of an assignment's tables is trained, each sentence decided.",
    published="paper",
    # The assignment trains for 100 epochs. Each exercise's module explains why fewer show the effect.
    scales={"quick": 3, "paper": 100},
    # The repository's folders.
    home="..",
    data_root="../data",
    documents=("README.md", "docs/cluster.md", "docs/engines.md", "docs/findings.md", "docs/timing.md"),
)
