"""Searching hyperparameters: what is searched, the trials on disk, the processes that train them, the outcome.

space.py    the options that are searched, and their values
search.py   what one search is: its folder, its budget, the runs of a trial
journal.py  the trials on disk, shared by processes
work.py     what one process does: trial after trial, until all are done
processes.py  several of them
outcome.py  the best trial, in words and as a file of tuned settings
"""
