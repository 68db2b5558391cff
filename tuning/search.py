"""One search: its folder, its budget, the settings and the runs of a trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.check import TUNING, checked
from configs.compose import UsageError, compose, compose_defaults, overrides_of, settle
from configs.flatten import flatten
from evaluation.runs import run_folder
from storage.schema import is_whole
from tuning.space import Space, corners, space_of

OWN = ("trials", "seeds", "score", "prune", "jobs", "seed", "output", "overwrite", "run_dir", "progress", "space")
LARGEST_SEARCH = 100_000  # trials, and runs of one


@dataclass(frozen=True)
class Search:
    """What is searched, and how.

    Attributes:
        folder: of the search; holds the journal, and a folder for each trial.
        asked: the overrides of the command line.
        given: those for `train` that all runs share.
        config: the configuration that they make.
        present: the values of its options, by full name.
        space: what is searched.
        trials, seeds, score, prune, seed: as in configs/tune.yaml.
    """

    folder: Path
    asked: list[str]
    given: list[str]
    config: dict[str, Any]
    space: Space
    trials: int
    seeds: int
    score: str
    prune: bool
    seed: int

    @property
    def present(self) -> dict[str, Any]:
        return flatten(self.config)

    @property
    def run_seeds(self) -> list[int]:
        """The seeds of a trial's runs."""
        return [TUNING[i] for i in range(self.seeds)]

    @property
    def evaluations(self) -> int:
        """How many evaluations a run has during training."""
        every, total = self.config["evaluation"]["every"], self.config["total_timesteps"]
        return 20 if every == "auto" else max(total // every, 1)

    def trial_folder(self, index: int) -> Path:
        return self.folder / f"trial={index}"

    def overrides(self, options: Mapping[str, Any], folder: Path, seed: int) -> list[str]:
        """Those of one run of a trial with these values of the options that are searched."""
        run = {"evaluation.purpose": "tuning", "progress": False, "seed": seed, "run_dir": str(folder / f"seed={seed}")}
        return [*self.given, *overrides_of(options), *overrides_of(run)]

    def settings(self) -> dict[str, Any]:
        """What the trials of one search have in common: the configuration without what is searched, and how."""
        how = {"seeds": self.seeds, "score": self.score, "prune": self.prune, "seed": self.seed}
        described = {key: str(searched) for key, searched in self.space.items()}
        shared = {key: value for key, value in self.present.items() if key not in (*self.space, "seed", "command")}
        return {"space": described, "search": how, **shared}


def search_of(overrides: Sequence[str]) -> tuple[Search, dict[str, Any]]:
    """The search that a command line asks for, and the other options of configs/tune.yaml.

    Raises:
        UsageError: an option or a value that cannot be; the message names the first one.
    """
    settings = compose("tune", overrides)
    _check(settings)
    given = [override for override in settle("tune", overrides) if _key(override) not in OWN]
    given = [override.lstrip("+") for override in given]
    defaults = compose_defaults(given)
    config = checked({**compose("train", given), "command": given}, defaults)
    space = space_of(settings["space"], flatten(config), {_name(override) for override in given})
    compose("train", [*given, *overrides_of(corners(space)[0])])  # each is an option that there is
    for key in space:
        if key.split(".")[0] not in ("agent", "encoder", "n_envs", "env", "precision"):
            raise UsageError(f"space.{key}: the options of agent, encoder and env are searched, and n_envs")
    folder = settings["run_dir"] or folder_of(config, defaults)
    how = {key: settings[key] for key in ("trials", "seeds", "score", "prune", "seed")}
    return Search(Path(folder), [*overrides], given, config, space, **how), settings


def folder_of(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> Path:
    """runs/tuning/<env>/<agent>-<encoder>/<differences>/steps=<n>"""
    runs, *middle, _ = run_folder(config, defaults).parts
    return Path(runs, "tuning", *middle, f"steps={config['total_timesteps']}")


def _check(settings: Mapping[str, Any]) -> None:
    for key, least in (("trials", 1), ("seeds", 1), ("seed", 0)):
        value = settings[key]
        if not is_whole(value) or not least <= value <= LARGEST_SEARCH:
            raise UsageError(f"{key} is a whole number from {least} to {LARGEST_SEARCH:,}; got {value!r}")
    jobs = settings["jobs"]
    if jobs != "auto" and not (is_whole(jobs) and jobs >= 1):
        raise UsageError(f"jobs is auto or a whole number, at least 1; got {jobs!r}")
    if settings["score"] not in ("final", "area"):
        raise UsageError(f"score is final or area; got {settings['score']!r}")
    for key in ("prune", "overwrite"):
        if not isinstance(settings[key], bool):
            raise UsageError(f"{key} is true or false; got {settings[key]!r}")


def _name(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]


def _key(override: str) -> str:
    return _name(override).split(".")[0]
