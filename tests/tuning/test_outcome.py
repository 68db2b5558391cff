"""The outcome of a search: the best trial, and the file that train.py reads from then on."""

from __future__ import annotations

import shutil

import pytest
import yaml
from optuna.trial import TrialState

import configs.compose
import tuning.outcome
from configs.compose import FOLDER, UsageError, compose
from tuning.journal import Journal
from tuning.outcome import best_of, check_free, file_of, line_of, summary, write
from tuning.search import search_of

ASKED = ["env=CartPole", "encoder=gnn", "agent=a2c", "trials=6", "agent.vf_coef=0.25"]


@pytest.fixture
def own_configs(tmp_path, monkeypatch):
    """The folder of configurations, to write into."""
    folder = tmp_path / "configs"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for module in (configs.compose, tuning.outcome):
        monkeypatch.setattr(module, "FOLDER", folder)
    return folder


def journal_with(search, *told) -> Journal:
    """A journal whose trials have these scores and areas; None: pruned, a text: failed."""
    journal = Journal(search)
    for each in told:
        with journal.next_trial() as trial:
            if each is None:
                trial.report(0.25, 3)
                journal.study.tell(trial, state=TrialState.PRUNED)
            elif isinstance(each, str):
                journal.fail(trial, each)
            else:
                for key, value in {"measure": "return", "scores": [each[0], each[0]], "area": each[1]}.items():
                    trial.set_user_attr(key, value)
                journal.study.tell(trial, each[0])
    return journal


def test_the_written_file_is_what_train_py_composes_from_then_on(own_configs):
    search = search_of(ASKED)[0]
    journal = journal_with(search, (10.0, 5.0), (20.0, 9.0), None, "a loss is NaN", (20.0, 12.0), (15.0, 14.0))
    best = best_of(journal)
    assert best.number == 4  # of equal scores the one that learned faster
    file = file_of(search, None)
    assert file == own_configs / "tuned" / "encoder" / "CartPole-a2c-gnn.yaml"
    before = compose("train", ["env=CartPole", "agent=a2c", "encoder=gnn"])["agent"]
    write(journal, file)
    after = compose("train", ["env=CartPole", "agent=a2c", "encoder=gnn"])["agent"]
    found = {key.removeprefix("agent."): value for key, value in best.user_attrs["options"].items()}
    assert after == {**before, **found, "vf_coef": 0.25} != before  # what was given belongs to what was found
    assert compose("train", ["env=CartPole", "agent=a2c", "encoder=mlp"])["agent"] == before
    header = [line for line in file.read_text().splitlines() if line.startswith("#")]
    told = " ".join(line.removeprefix("# ") for line in header)
    command = "python tune.py trials=6 seeds=2 score=final env=CartPole encoder=gnn agent=a2c agent.vf_coef=0.25"
    assert header[1].startswith(f"# Found by: {command}") and all(len(line) <= 120 for line in header[2:])
    assert "Trial 5 of 6 (1 pruned, 1 failed): return 20.0 (20.0, 20.0); the settings before: return 10.0" in told
    assert "with the seeds 10000000, 10000001" in told and "optuna 5" in told


def test_a_file_that_this_search_has_not_written_is_replaced_only_if_asked(own_configs):
    search = search_of(ASKED)[0]
    journal, file = journal_with(search, (1.0, 1.0)), file_of(search, None)
    file.write_text("# by hand\ntotal_timesteps: 7\nagent: {gamma: 0.5, rms_prop_eps: 1.0e-3}\n")
    with pytest.raises(UsageError, match=r"CartPole-a2c-gnn\.yaml exists; overwrite=true replaces it, output=<file>"):
        check_free(journal, file, False)
    check_free(journal, file, True)
    write(journal, file)
    content = yaml.safe_load(file.read_text())
    assert content["total_timesteps"] == 7 and content["agent"]["rms_prop_eps"] == 1e-3  # not searched, so it stays
    assert content["agent"]["gamma"] == best_of(journal).user_attrs["options"]["agent.gamma"]
    check_free(journal, file, False)  # its own
    write(journal, file)
    file.write_text(file.read_text().replace("total_timesteps: 7", "total_timesteps: 8"))
    with pytest.raises(UsageError, match="exists"):
        check_free(journal, file, False)


@pytest.mark.slow
def test_a_class_of_the_user_s_own_needs_a_file_to_write_to():
    search = search_of(["env=gym", "env.id=Acrobot-v1", "encoder=mlp", "agent=a2c", "env.kwargs.x=1"])[0]
    assert "env=Acrobot" in search.given and file_of(search, "mine.yaml").name == "mine.yaml"
    own = search_of(["env=CartPole", "encoder=custom", "encoder.class=encoders.mlp.MLP", "agent=a2c"])[0]
    with pytest.raises(UsageError, match=r"encoder=custom has no name .*; say where to write it: output=<file>"):
        file_of(own, None)


@pytest.mark.slow
def test_each_trial_is_a_line_and_the_end_says_what_mattered():
    search = search_of(ASKED)[0]
    scores = [(float(score), 1.0) for score in (10, 20, 30, 40)]
    journal = journal_with(search, *scores, None, "a loss is NaN")
    lines = [line_of(trial, search) for trial in journal.finished()]
    assert lines[0].startswith("trial   1 of 6  return 10.0 (10.0, 10.0)") and "learning_rate=0.0007" in lines[0]
    assert "pruned at 0.25 after 20,000 steps" in lines[4] and "failed: a loss is NaN" in lines[5]
    text = summary(journal)
    assert text.startswith("best: trial 4, return 40.0 (40.0, 40.0); trial 1, with the settings before: return 10.0")
    shares = [float(line.split()[-1]) for line in text.splitlines()[2:]]
    assert len(shares) == len(search.space) and abs(sum(shares) - 1) < 0.05 and shares == sorted(shares, reverse=True)
