"""What runs are compared by: one number for each, and which numbers are possible."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium

from evaluation.runs import Run

MEASURES = {
    "auto": "success where the environment defines it, else return",
    "return": "in fresh episodes of the last policy",
    "success": "in fresh episodes of the last policy",
    "of_optimal": "the share of the best possible return",
    "training": "success on the levels of training",
    "test": "success on other levels",
    "gap": "success on the levels of training less that on others",
}
ALWAYS = (-math.inf, math.inf)
SHARE = (0.0, 1.0)
GRIDS = ("MiniGrid-", "BabyAI-", "Inductive-")  # 1 - 0.9 t / T for success, else 0
BODIES = "Inductive-Bodies-"  # are none
# the least and the greatest reward of a step, for Gymnasium's environments whose every step has a reward
REWARDS = {
    "CartPole-v0": (0.0, 1.0),
    "CartPole-v1": (0.0, 1.0),
    "Acrobot-v1": (-1.0, 0.0),
    "MountainCar-v0": (-1.0, 0.0),
    "Pendulum-v1": (-(math.pi**2 + 0.1 * 8**2 + 0.001 * 2**2), 0.0),
}


@dataclass(frozen=True)
class Measure:
    """What the runs of one environment are compared by.

    Attributes:
        name: as it is chosen: "success", "gap", "transfer.DoorKey-8x8".
        kind: what it measures: "success", "return", "of optimal" or "gap".
        possible: the least and the greatest value that it can have.
    """

    name: str
    kind: str
    possible: tuple[float, float] = ALWAYS

    @property
    def is_share(self) -> bool:
        """Whether it is between 0 and 1 in each environment alike, so that environments can be averaged."""
        return self.kind in ("success", "of optimal")

    def of(self, run: Run) -> float | None:
        """The number of a finished run; None if it has none."""
        assert run.result is not None
        score = scores_of(self.name, run.result).get(self.kind)
        return None if score is None else float(score["mean"])


def offered(runs: Sequence[Run]) -> list[str]:
    """The measures that at least one of these finished runs has, `auto` first."""
    results = [run.result for run in runs if run.result is not None]
    shifts = sorted({f"transfer.{name}" for result in results for name in result.get("transfer") or {}})
    known = [name for name in [*MEASURES, *shifts] if name != "auto"]
    return ["auto", *(name for name in known if any(any(scores_of(name, result).values()) for result in results))]


def measure_of(runs: Sequence[Run], name: str) -> Measure:
    """The measure of an environment's finished runs.

    Raises:
        ValueError: success is there in some runs, and in others it is not.
    """
    scores = [scores_of("success" if name == "auto" else name, run.result or {}) for run in runs]
    kinds = {kind for score in scores for kind, value in score.items() if value is not None}
    if name == "auto":
        having = [run for run in runs if run.result and run.result["success"] is not None]
        if having and len(having) < len(runs):
            without = next(run for run in runs if run.result and run.result["success"] is None)
            raise ValueError(
                f"the runs of {runs[0].config['env']['name']} measure different things: success is there in "
                f"{having[0].folder}, and not in {without.folder}; measure=return compares their returns"
            )
        name = "success" if having else "return"
        kinds = {name}
    usual = {"gap": "gap", "of_optimal": "of optimal", "return": "return"}.get(name, "success")
    kind = next((kind for kind in ("success", "gap", "of optimal", "return") if kind in kinds), usual)
    return Measure(name, kind, possible(kind, runs))


def possible(kind: str, runs: Sequence[Run]) -> tuple[float, float]:
    """The least and the greatest value that a measure can have in all these runs of one environment."""
    if kind in ("success", "of optimal"):
        return SHARE
    ranges = [possible_return(run.config) for run in runs] or [ALWAYS]
    low, high = min(least for least, _ in ranges), max(most for _, most in ranges)
    if kind == "return":
        return low, high
    measured = {((run.result or {}).get("levels") or {}).get("measure") for run in runs} - {None}
    return (-1.0, 1.0) if measured == {"success"} else (low - high, high - low)


def possible_return(config: Mapping[str, Any]) -> tuple[float, float]:
    """The least and the greatest return of an episode, where they are known; else everything."""
    env = str(config["env"]["id"]).rpartition(":")[2]
    if env.startswith(GRIDS) and not env.startswith(BODIES):
        return (-1.0 if "Dynamic-Obstacles" in env else 0.0), 1.0
    spec = gymnasium.registry.get(env)
    steps = (config["env"].get("kwargs") or {}).get("max_episode_steps") or (spec and spec.max_episode_steps)
    if env not in REWARDS or not steps:
        return ALWAYS
    least, most = REWARDS[env]
    return least * steps, most * steps


def scores_of(name: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """The intervals that a result holds for a measure, by their kind; without any, {}."""
    levels = result.get("levels") or {}
    if name in ("return", "success"):
        return {name: result.get(name)}
    if name == "of_optimal":
        return {"of optimal": result.get("of_optimal")}
    if name == "gap":
        return {"gap": levels.get("gap")}
    if name in ("training", "test"):
        scores = levels.get(name) or {}
        return {levels["measure"]: scores.get(levels["measure"])} if levels.get("gap") else {}
    kind, _, where = name.partition(".")
    scores = (result.get("transfer") or {}).get(where, {}) if kind == "transfer" else {}
    success = scores.get("success")
    return {"success": success} if success else {"return": scores.get("return")}
