"""The trials on disk: what is tried next, processes that share them, processes that die.

The trials here are scored by a formula instead of by training, so that many fit into a second.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import optuna
import pytest
from killed import killed, needs_fork
from optuna.trial import TrialState

from configs.compose import UsageError
from tuning.journal import TRIES, Journal
from tuning.search import Search
from tuning.space import Choice, Range

pytestmark = needs_fork


def search(folder: str, trials: int = 6, **options) -> Search:
    space = {"agent.learning_rate": Range(1e-5, 1e-1, True), "agent.n_steps": Choice((16, 32, 64))}
    config = {"env": {"name": "CartPole"}, "agent": {"name": "ppo", "gamma": 0.99, "learning_rate": 1e-3}}
    config |= {"total_timesteps": 100, "evaluation": {"every": 10, "purpose": "report"}, "encoder": {"freeze": False}}
    how = {"seeds": 1, "score": "final", "prune": False, "seed": 0, **options}
    return Search(Path(folder), [], [], config, space, trials, **how)


def score(options) -> float:
    return -abs(options["agent.learning_rate"] - 0.003) + options["agent.n_steps"] / 1000


def work(journal: Journal, most: int = 100) -> None:
    """Tell the scores of trials until there is none left to begin."""
    for _ in range(most):
        with journal.next_trial() as trial:
            if trial is None:
                return
            journal.study.tell(trial, score(trial.user_attrs["options"]))


def die_within_a_trial(journal: Journal, most: int = 0) -> None:
    """Tell so many trials, and die within the next one."""
    work(journal, most)
    with journal.next_trial():
        os.kill(os.getpid(), signal.SIGKILL)


def in_a_fork(act) -> int:
    child = os.fork()
    if not child:
        try:
            act()
        finally:
            os._exit(0)
    return child


def tried(journal: Journal) -> list[dict]:
    return [trial.user_attrs["options"] for trial in journal.finished()]


def test_the_same_seed_tries_the_same_settings_and_another_one_others():
    first, second, other = (Journal(search(name, seed=seed)) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    for journal in (first, second, other):
        work(journal)
    assert tried(first) == tried(second) and tried(first)[1:] != tried(other)[1:]
    assert tried(first)[0] == {"agent.learning_rate": 1e-3, "agent.n_steps": 16}  # the settings before


def test_a_search_that_dies_again_and_again_tries_what_an_undisturbed_one_tries():
    undisturbed = Journal(search("undisturbed", trials=8))
    work(undisturbed)
    for most in (0, 2, 1, 3):
        child = in_a_fork(
            lambda most=most: [work(j := Journal(search("disturbed", trials=8)), most), die_within_a_trial(j)]
        )
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    disturbed = Journal(search("disturbed", trials=8))
    work(disturbed)
    assert tried(disturbed) == tried(undisturbed)
    lost = [trial for trial in disturbed.study.trials if trial.state == TrialState.FAIL]
    assert len(lost) == 4 and len(disturbed.study.trials) == 12  # each death cost one of Optuna's trials
    assert disturbed.is_complete() and disturbed.startable() == 0


def test_more_trials_go_on_with_a_search():
    work(Journal(search("a", trials=3)))
    longer, whole = Journal(search("a", trials=6)), Journal(search("b", trials=6))
    first = tried(longer)
    work(longer)
    work(whole)
    assert tried(longer)[:3] == first and len(tried(longer)) == len(tried(whole)) == 6


def test_processes_that_share_a_search_lose_no_trial_and_try_none_twice():
    children = [in_a_fork(lambda: work(Journal(search("shared", trials=20)))) for _ in range(3)]
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    journal = Journal(search("shared", trials=20))
    assert [trial.user_attrs["index"] for trial in journal.counted()] == [*range(20)]
    assert len(journal.study.trials) == 20 and journal.is_complete()


def test_a_trial_that_somebody_works_on_is_left_alone():
    journal = Journal(search("a", trials=1))
    with journal.next_trial() as mine:
        with Journal(search("a", trials=1)).next_trial() as theirs:
            assert mine is not None and theirs is None
        assert journal.startable() == 0 and not journal.is_complete()
    assert journal.startable() == 1  # nobody does any more


def test_a_trial_that_kills_its_processes_is_given_up():
    for _ in range(TRIES):
        os.waitpid(in_a_fork(lambda: die_within_a_trial(Journal(search("a", trials=2)))), 0)
    journal = Journal(search("a", trials=2))
    work(journal)
    failed, other = journal.finished()
    assert "3 processes ended" in failed.user_attrs["error"] and other.state == TrialState.COMPLETE
    assert tried(journal)[0] == {"agent.learning_rate": 1e-3, "agent.n_steps": 16}


@pytest.mark.slow
def test_a_writer_may_be_killed_at_any_step():
    at = 0
    while killed(lambda at=at: work(Journal(search(f"killed-{at}", trials=2))), at):
        journal = Journal(search(f"killed-{at}", trials=2))
        work(journal)
        assert [trial.user_attrs["index"] for trial in journal.finished()] == [0, 1] and journal.is_complete()
        at += 1
    assert at > 10


def test_half_a_line_at_the_end_of_the_journal_is_removed_by_the_next_writer():
    journal = Journal(search("a", trials=4))
    work(journal, most=2)
    whole = journal.file.read_bytes()
    with journal.file.open("ab") as file:
        file.write(b'{"op_code":4,"worker_id":"dead')
    again = Journal(search("a", trials=4))
    assert tried(again) == tried(journal)
    work(again)
    assert journal.file.read_bytes().startswith(whole) and b"dead" not in journal.file.read_bytes()
    assert len(Journal(search("a", trials=4)).finished()) == 4


def test_another_search_and_a_damaged_one_are_refused():
    work(Journal(search("a")))
    with pytest.raises(UsageError, match=r"a holds another search .*search\.seeds was 1, now 2.*; run_dir=<folder>"):
        Journal(search("a", seeds=2))
    file = Path("a/search.journal")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:3], b"{no json}\n", *lines[3:]]))
    with pytest.raises(UsageError, match=r"a/search\.journal is damaged"):
        Journal(search("a"))


def test_a_trial_is_pruned_that_stays_below_the_median_after_a_quarter_of_a_run():
    journal = Journal(search("a", trials=8, prune=True))
    for worth in (0.9, 0.8, 0.9, 0.8, 0.9):
        with journal.next_trial() as trial:
            for step in range(10):
                trial.report(worth * step / 9, step)
            journal.study.tell(trial, worth)
    ends = {}
    for worth in (0.1, 0.95):
        with journal.next_trial() as trial:
            for step in range(10):
                trial.report(worth * step / 9, step)
                if trial.should_prune():
                    ends[worth] = step
                    break
            journal.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    assert ends == {0.1: 2}
