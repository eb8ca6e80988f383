"""The study: it trains the assignment's rows under each guess."""

from harness.study import Study

STUDY = Study(
    title="What the assignment leaves out",
    about="Which batch size and which number of epochs give the accuracies that the assignment reports?",
    published="paper",
    scales={"miniature": 1, "full": 100},
    data_root="../../data",
    documents=("../../docs/hyperparameters.md",),
)
