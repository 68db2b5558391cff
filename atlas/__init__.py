"""The atlas: for each claim a task in which one property matters, the same task without it, and what the runs say.

claims.yaml   what is claimed, the two tasks, the encoder that theory favours and the ones it is held against
claims.py     reading it, and the training runs that it needs
collect.py    run folders -> results/atlas.csv, one row for each run
verdict.py    those rows -> effects with intervals, and verdicts
show.py       those -> docs/atlas.md and its picture
"""
