"""The presentation of a run: tables, figures, the page, and passages that quote published runs.

Everything is made from the files of a report folder alone, at any time. This package may import
`results`, `hardware` and the modules next to it in `harness`.
"""
