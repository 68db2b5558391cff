"""What came of a search: a line for each trial, the best one, and the file of tuned settings."""

from __future__ import annotations

import shlex
import textwrap
from hashlib import sha256
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState

from agents.saved.specification import versions
from configs.compose import FOLDER, UsageError
from evaluation.report import table
from storage.durable import write_file
from storage.plain import from_yaml
from tuning.journal import Journal
from tuning.search import Search

COMPARED = 4  # complete trials, before an importance means anything
WIDEST = 120  # characters of a comment's line
WRITTEN = "written"  # the attribute of a study that holds the checksum of the file it has written


def line_of(trial: FrozenTrial, search: Search) -> str:
    """A trial that has ended: its number, its score or why there is none, its settings."""
    about = trial.user_attrs
    settings = "  ".join(f"{key.removeprefix('agent.')}={value}" for key, value in about["options"].items())
    return f"trial {about['index'] + 1:>3} of {search.trials}  {ending(trial, search):<28}  {settings}"


def ending(trial: FrozenTrial, search: Search) -> str:
    """success 0.84 (0.79, 0.89); pruned at 0.12 after 60,000 steps; failed: why"""
    about = trial.user_attrs
    if trial.state == TrialState.COMPLETE:
        return f"{about['measure']} {number(trial.value)} ({', '.join(map(number, about['scores']))})"
    if trial.state == TrialState.PRUNED:
        last = max(trial.intermediate_values)
        run, evaluation = divmod(last, search.evaluations)
        total = search.config["total_timesteps"]
        steps = run * total + (evaluation + 1) * total // search.evaluations
        return f"pruned at {number(trial.intermediate_values[last])} after {steps:,} steps"
    return f"failed: {about['error']}"


def number(value: Any) -> str:
    """Two digits after the point for small numbers, one for others."""
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def best_of(journal: Journal) -> FrozenTrial | None:
    """The trial of the highest score; of equal ones, the one that learned faster. None if none is complete."""
    complete = [trial for trial in journal.finished() if trial.state == TrialState.COMPLETE]
    return max(complete, key=lambda trial: (trial.value, trial.user_attrs["area"]), default=None)


def summary(journal: Journal) -> str:
    """The best trial beside the settings before, and how much each option mattered.

    The importance is the share of the scores' variance among the better trials (PED-ANOVA, Watanabe et al. 2023).
    """
    best = best_of(journal)
    assert best is not None
    search, before = journal.search, next(trial for trial in journal.finished() if trial.user_attrs["index"] == 0)
    weights = importances(journal)
    rows = [
        [key, str(value), str(before.user_attrs["options"][key]), f"{weights[key]:.2f}" if key in weights else ""]
        for key, value in best.user_attrs["options"].items()
    ]
    rows.sort(key=lambda row: row[3], reverse=True)
    said = f"best: trial {best.user_attrs['index'] + 1}, {ending(best, search)}; trial 1, with the settings before: "
    return f"{said}{ending(before, search)}\n{table(['option', 'best', 'before', 'importance'], rows)}"


def importances(journal: Journal) -> dict[str, float]:
    """The importance of each option; empty where there are too few trials, or no differences."""
    complete = [trial for trial in journal.finished() if trial.state == TrialState.COMPLETE]
    if len(complete) < COMPARED or len({trial.value for trial in complete}) < 2:
        return {}
    return optuna.importance.get_param_importances(journal.study, evaluator=PedAnovaImportanceEvaluator())


def file_of(search: Search, output: str | None) -> Path:
    """The file that `train.py` reads for this environment, agent and encoder.

    Raises:
        UsageError: there is none for an id or a class of the user's own.
    """
    if output is not None:
        return Path(output)
    given = dict(override.partition("=")[::2] for override in search.given)
    env, encoder = (given.get(group, search.config[group]["name"]) for group in ("env", "encoder"))
    if env in ("gym", "minigrid") or encoder == "custom":
        what = f"env={env}" if env in ("gym", "minigrid") else "encoder=custom"
        raise UsageError(f"{what} has no name for a file of tuned settings; say where to write it: output=<file>.yaml")
    return FOLDER / "tuned" / "encoder" / f"{env}-{search.config['agent']['name']}-{encoder}.yaml"


def check_free(journal: Journal, file: Path, overwrite: bool) -> None:
    """Raise UsageError if writing would replace what this search has not written."""
    if overwrite or not file.exists():
        return
    if journal.study.user_attrs.get(WRITTEN) != sha256(file.read_bytes()).hexdigest():
        raise UsageError(f"{file} exists; overwrite=true replaces it, output=<file> writes elsewhere")


def write(journal: Journal, file: Path) -> None:
    """Write the best settings; what an older file says of other options stays.

    Raises:
        OSError: the file cannot be written.
        ValueError: the older file is no mapping in YAML.
    """
    best, search = best_of(journal), journal.search
    assert best is not None
    given = {key: search.present[key] for key in _given(search) if key in search.present}
    content: dict[str, Any] = from_yaml(file.read_bytes()) or {} if file.exists() else {}
    for key, value in {**given, **best.user_attrs["options"]}.items():
        _put(content, key.split("."), value)
    text = f"# @package _global_\n{_header(journal, best)}{yaml.safe_dump(content, sort_keys=False)}"
    write_file(file, text)
    journal.study.set_user_attr(WRITTEN, sha256(text.encode()).hexdigest())


def _given(search: Search) -> list[str]:
    """The options of agent and encoder that the command line sets, with which the best settings were found."""
    names = [override.lstrip("+").partition("=")[0] for override in search.given]
    return [name for name in names if name == "n_envs" or name.startswith(("agent.", "encoder."))]


def _put(content: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        content = content.setdefault(part, {})
        if not isinstance(content, dict):
            raise ValueError(f"the older file says {part}: {content!r}, which is no mapping")
    content[path[-1]] = value


def _header(journal: Journal, best: FrozenTrial) -> str:
    """How the settings were found, as comments."""
    search, states = journal.search, [trial.state for trial in journal.finished()]
    before = next(trial for trial in journal.finished() if trial.user_attrs["index"] == 0)
    counts = f"{states.count(TrialState.PRUNED)} pruned, {states.count(TrialState.FAIL)} failed"
    score = "after training" if search.score == "final" else "averaged over training"
    made = versions()
    lines = [
        f"Trial {best.user_attrs['index'] + 1} of {len(states)} ({counts}): {ending(best, search)}; "
        f"the settings before: {ending(before, search)}.",
        f"Scores are those {score}, of {search.config['total_timesteps']:,} steps with the seeds "
        f"{', '.join(map(str, search.run_seeds))}, on levels that no report plays.",
        "The best of many noisy scores is too high: train with other seeds to know how good it is.",
        f"{', '.join(f'{name} {version}' for name, version in made.items())}, optuna {optuna.__version__}.",
    ]
    wrapped = [part for line in lines for part in textwrap.wrap(line, WIDEST - 2)]
    return "".join(f"# {line}\n" for line in (f"Found by: {command(search)}", *wrapped))


def command(search: Search) -> str:
    """The command line of a search, without what changes nothing of its outcome."""
    mine: dict[str, Any] = {"trials": search.trials, "seeds": search.seeds, "score": search.score}
    for override in [*search.asked, f"prune={str(search.prune).lower()}", f"seed={search.seed}"]:
        name, _, value = override.lstrip("+").partition("=")
        if name not in ("jobs", "output", "overwrite", "run_dir", "progress", *mine):
            mine[name] = value.strip("'")
    return shlex.join(["python", "tune.py", *(f"{name}={value}" for name, value in mine.items())])
