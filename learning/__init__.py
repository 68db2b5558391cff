"""One run, from a checked configuration to a run folder: where agents and environments meet.

    decide.py      every `auto`, and the reason for it
    build.py       configuration -> environments and untrained model
    initial.py     weights that a run starts from
    learn.py       train, watch, measure, save
    snapshot.py    what an interrupted run goes on from
    randomness.py  the states of random generators

train.py calls them in this order: decide what the configuration alone decides, build, decide the rest, learn.
"""
