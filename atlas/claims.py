"""Claims as data, and the training runs that decide them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from configs.compose import UsageError, compose, compose_defaults
from envs.names import unknown
from evaluation.runs import run_folder

FILE = Path(__file__).resolve().parent / "claims.yaml"
SEEDS = range(5)


@dataclass(frozen=True)
class Setting:
    """A task and the score that counts there.

    Attributes:
        overrides: of train.py, for every run.
        score: "success" (on test levels, where some are held out), or "transfer.<name>".
        shown: what it is, in a few words.
    """

    overrides: tuple[str, ...]
    score: str
    shown: str


@dataclass(frozen=True)
class Claim:
    """A claim of theory about one property of tasks.

    Attributes:
        name: of the property.
        says: the claim, in one sentence.
        source: the paper.
        matters, removed: the task in which the property matters, and the control in which it does not.
        contenders: their names and overrides; the first is the one that theory favours, the second its rival.
        note: what was learned while its tasks were made, "" where there is nothing to say.
    """

    name: str
    says: str
    source: str
    matters: Setting
    removed: Setting
    contenders: Mapping[str, tuple[str, ...]]
    note: str = ""

    @property
    def favoured(self) -> str:
        return next(iter(self.contenders))

    @property
    def rival(self) -> str:
        return [*self.contenders][1]

    @property
    def settings(self) -> dict[str, Setting]:
        return {"matters": self.matters, "removed": self.removed}


@dataclass(frozen=True)
class Job:
    """One training run: its overrides without the seed, its folder without `seed=<n>`, its budget in steps."""

    overrides: tuple[str, ...]
    folder: Path
    steps: int


def claims(names: Sequence[str] = ()) -> list[Claim]:
    """The claims of these names, or all.

    Raises:
        UsageError: there is no claim of that name.
    """
    known = {name: _claim(name, entry) for name, entry in yaml.safe_load(FILE.read_text()).items()}
    for name in names:
        if name not in known:
            raise UsageError(unknown("claim", name, known))
    return [known[name] for name in names or known]


def job(setting: Setting, contender: Sequence[str]) -> Job:
    """The training run of a contender in a setting."""
    overrides = ("experiment=atlas", *setting.overrides, *contender)
    config = compose("train", [*overrides])
    return Job(overrides, run_folder(config, compose_defaults([*overrides])).parent, config["total_timesteps"])


def jobs(chosen: Sequence[Claim]) -> list[Job]:
    """Every training run of some claims, each once."""
    each = {
        found.folder: found
        for claim in chosen
        for contender in claim.contenders.values()
        for found in (job(setting, contender) for setting in claim.settings.values())
    }
    return [*each.values()]


def _claim(name: str, entry: Mapping[str, Any]) -> Claim:
    settings = {
        key: Setting(tuple(entry[key]["train"].split()), entry[key]["score"], entry[key]["shown"])
        for key in ("matters", "removed")
    }
    contenders = {shown: tuple(overrides.split()) for shown, overrides in entry["contenders"].items()}
    return Claim(name, entry["says"], entry["source"], **settings, contenders=contenders, note=entry.get("note", ""))
