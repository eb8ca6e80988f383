"""The report that people look at: `figures/*.svg` and `report.html`, from a run's files alone.

`python -m harness.report reports/a [reports/b ...]`, or `make report RUNS="reports/a reports/b"`.
"""
