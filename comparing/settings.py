"""What makes runs of one environment less comparable than they look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from configs.flatten import flatten
from evaluation.runs import ABSENT, IRRELEVANT, Run, label

NAMED = 3  # runs or contenders in a note, before "and 4 more"
MOST = 6  # settings in a note
# what may differ between any two runs: the seed, what is decided for a length, and what changes no number
FREE = {*IRRELEVANT, "seed", "total_timesteps", "env.levels", "env.bank", "evaluation.every", "agent.implementation"}
CHOSEN = {"encoder", "symmetry", "experiment"}  # what contenders differ in

Named = Callable[[Run], str]


def notes(runs: Sequence[Run], called: Mapping[str, str]) -> list[str]:
    """Unequal levels, lengths, releases and settings, each as a sentence that names the runs.

    Args:
        runs: of one environment.
        called: label -> how the report calls it.
    """

    def contender(run: Run) -> str:
        return called[label(run)]

    def of_seed(run: Run) -> str:
        return f"{contender(run)} seed={run.config['seed']}"

    found = []
    if mixed := _mixed(runs, levels, contender):
        found.append(f"these runs train on different levels, and so are tested on different ones: {mixed}")
    if mixed := _mixed(runs, length, contender):
        found.append(f"these runs have different lengths: {mixed}")
    if mixed := _mixed(runs, release, of_seed):
        found.append(f"these runs need not be of the same environment: {mixed}")
    found += [f"these runs have different settings: {differing}" for differing in _settings(runs, contender, of_seed)]
    folders: dict[str, list[str]] = {}
    for run in runs:
        folders.setdefault(of_seed(run), []).append(str(run.folder))
    twice = [f"{name} ({', '.join(where)})" for name, where in folders.items() if len(where) > 1]
    if twice:
        found.append(f"these seeds are counted more than once: {'; '.join(twice[:NAMED])}")
    return found


def levels(run: Run) -> str | None:
    """On which levels a run trains."""
    trained = run.config["env"].get("levels")
    if trained is None:
        return None
    return "all levels" if trained == "all" else f"{trained} levels, and tests on others"


def length(run: Run) -> str:
    """How long a run is."""
    assert run.result is not None
    return f"{run.result['steps']:,} steps"


def release(run: Run) -> str | None:
    """Which release of its simulator a run was made with; None for runs of earlier versions, which do not say."""
    simulator = (run.result or {}).get("simulator")
    return simulator and f"{simulator} {run.result['versions'].get(simulator)}"  # type: ignore[index]


def _settings(runs: Sequence[Run], contender: Named, of_seed: Named) -> list[str]:
    """Settings that differ and that no name tells: between contenders, and between the seeds of one.

    The agent's settings are compared between contenders of one agent only.
    """
    labels = {label(run): [one for one in runs if label(one) == label(run)] for run in runs}
    one_agent = len({run.config["agent"]["name"] for run in runs}) == 1
    free = FREE | CHOSEN | (set() if one_agent else {"agent"})
    named = {part.partition("=")[0] for name in labels for part in name.replace(" ", ",").split(",")}
    within = [each for same in labels.values() for each in _differing(same, FREE, of_seed)]
    between = _differing(runs, free | named | {key for key, _ in within}, contender)
    found = [f"{key} is {values}" for key, values in between + within]
    return found[:MOST] + ([f"{len(found) - MOST} more differ"] if len(found) > MOST else [])


def _differing(runs: Sequence[Run], free: set[str], named: Named) -> list[tuple[str, str]]:
    """Each setting, except the free ones, that is not the same in all runs, and its values."""
    flat = {run.folder: {**ABSENT, **flatten(run.config)} for run in runs}
    keys = sorted({key for values in flat.values() for key in values if not key.endswith(".name")})
    found = []
    for key in keys:
        values = {folder: str(values.get(key)) for folder, values in flat.items()}
        if len({*values.values()}) > 1 and not {key, key.split(".")[0]} & free:
            found.append((key, _mixed(runs, lambda run, values=values: values[run.folder], named) or ""))
    return found


def _mixed(runs: Sequence[Run], kind: Callable[..., str | None], named: Named) -> str | None:
    """ "<kind> (<runs>); <kind> (<runs>)" where runs are of several kinds; None where they are of one."""
    kinds: dict[str, dict[str, Any]] = {}
    for run in runs:
        if (found := kind(run)) is not None:
            kinds.setdefault(found, {})[named(run)] = None
    if len(kinds) < 2:
        return None
    return "; ".join(
        f"{found} ({', '.join([*names][:NAMED])}{f' and {len(names) - NAMED} more' if len(names) > NAMED else ''})"
        for found, names in sorted(kinds.items())
    )
