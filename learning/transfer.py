"""The policy of a run, played elsewhere too (`transfer=`): another environment, shifted levels, shuffled cells.

    transfer.mirrored.shift=mirror     python evaluate.py policy=<run folder> shift=mirror seed=3000000
    transfer.larger.id=DoorKey-8x8     python evaluate.py policy=<run folder> env=DoorKey-8x8 seed=3000000

Both play the same episodes. What is played changes nothing of the training, so an entry can be added to a finished run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from agents import Policy, save_policy
from configs.compose import UsageError, compose, overrides_of
from evaluation.rollout import rollout
from evaluation.runs import is_of_tuning, read_run, write_config
from evaluation.scores import scores
from learning import randomness
from playing.choose import environment_options, load, prepared
from storage.durable import write_file

SEED = 3_000_000


def check_transfer(model: BaseAlgorithm, config: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Let the untrained policy of a model begin everywhere; no random number is drawn.

    Args:
        about: as for `agents.save_policy`.

    Raises:
        UsageError: the policy cannot be played there.
    """
    if _entries(config):
        before = randomness.saved(model)
        with _in_a_file(model, about) as file:
            _check(file, config)
        randomness.restore(model, before)


def played_elsewhere(
    model: BaseAlgorithm, config: Mapping[str, Any], about: Mapping[str, Any], stop: Callable[[], bool]
) -> dict[str, Any]:
    """What `result.json` says of `transfer`; `about` as for `agents.save_policy`.

    Raises:
        Exception: as `evaluation.rollout.rollout`.
    """
    if not _entries(config):
        return {}
    with _in_a_file(model, about) as file:
        return _play(file, config, stop)


def lacking(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration, with those entries of `transfer` only that the result of a finished run lacks."""
    run = read_run(folder)
    played, options = (run.result or {}).get("transfer", {}), run.config.get("transfer", {})
    entries = _entries(config).items()
    return {**config, "transfer": {key: new for key, new in entries if key not in played or options.get(key) != new}}


def check_added(folder: Path, config: Mapping[str, Any]) -> None:
    """Raise UsageError if the policy of a finished run cannot be played where its result lacks it."""
    _check(folder, lacking(folder, config))


def add_transfer(folder: Path, config: Mapping[str, Any]) -> None:
    """Play the policy of a finished run where its result lacks it, and write `result.json` and `config.yaml` anew.

    Raises:
        UsageError: the policy cannot be played there.
        Exception: as `evaluation.rollout.rollout`.
    """
    new, run = lacking(folder, config), read_run(folder)
    found = _play(folder, new)
    assert run.result is not None
    result = {**run.result, "transfer": {**run.result.get("transfer", {}), **found}}
    write_file(folder / "result.json", json.dumps(result, indent=2) + "\n")
    # written last: an entry that it does not tell of is played again
    write_config(folder, {**run.config, "transfer": {**run.config.get("transfer", {}), **new["transfer"]}})


def _entries(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Those of `transfer` that are not null, and one for each of the bodies of `env.test`.

    There are none for runs of tune.py, which play no levels that reports play.
    """
    if is_of_tuning(config):
        return {}
    bodies = {body: {"id": body} for body in config["env"].get("test") or ()}
    return {name: entry for name, entry in {**bodies, **config["transfer"]}.items() if entry is not None}


@contextmanager
def _in_a_file(model: BaseAlgorithm, about: Mapping[str, Any]) -> Iterator[Path]:
    """The policy of a model as a file, from which its network can be rebuilt for another grid."""
    with TemporaryDirectory() as place:
        yield save_policy(model, Path(place) / "policy", **about)


def _check(policy: Path, config: Mapping[str, Any]) -> None:
    for name in _entries(config):
        with _elsewhere(policy, config, name):
            pass


def _play(policy: Path, config: Mapping[str, Any], stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    episodes, patience = (config["evaluation"][key] for key in ("final_episodes", "patience"))
    found = {}
    for name in _entries(config):
        with _elsewhere(policy, config, name) as (player, env):
            played = rollout(player.remembering(), env, episodes, seed=SEED, patience=patience, stop=stop)
        measured = scores(played)
        intervals = {key: value and value.to_data() for key, value in measured.items() if key != "length"}
        found[name] = {**intervals, "episodes": episodes}
    return found


@contextmanager
def _elsewhere(policy: Path, config: Mapping[str, Any], name: str) -> Iterator[tuple[Policy, VecEnv]]:
    """A policy and the environments that an entry of `transfer` means."""
    try:
        settings = _settings(policy, config, _entries(config)[name])
        saved = load(settings)
        options = environment_options(saved, settings)
        player, env = prepared(saved, {**options, "shift": settings["shift"]}, settings)
    except ValueError as error:
        raise UsageError(f"transfer.{name}: {str(error).replace(str(policy), 'the policy')}") from error
    with closing(env):
        yield player, env


def _settings(policy: Path, config: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `evaluate.py` for an entry of `transfer`."""
    package, colon, _ = config["env"]["id"].partition(":")
    env = {key: entry[key] for key in ("kwargs",) if key in entry}
    if "id" in entry:  # ids with a module or a namespace are no names of choices
        env |= {"name": "gym", "id": entry["id"]} if {*":/"} & {*entry["id"]} else {"name": entry["id"]}
    return compose(
        "evaluate",
        overrides_of(
            {
                "policy": str(policy),
                "device": config["device"],
                "trust": [*config["trust"], *([package] if colon else [])],  # training has imported it
                "episodes": config["evaluation"]["final_episodes"],
                "env": env,
                **{key: entry[key] for key in ("shift", "shuffle") if key in entry},
            }
        ),
    )
