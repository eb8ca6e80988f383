"""The history of many runs, and the steps in it: `make history`, and the gate `--history-fail`.

detection    the steps in one measure of rows that ran together, look by look
past_runs    saved runs and report folders, read and checked
tracks       runs that can be compared, in the order of their commits
steps        the steps of a track, with their intervals, and those that were accepted
drawing      the page
gate         the steps that fail a run; `hooks` has its option
replays      how often the gate is wrong, and how soon it is right, on saved runs
"""
