"""What is measured of a policy: its scores with sampled and with greedy actions, and how far it obeys a symmetry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from agents import Policy
from agents.diagnostics import equivariance_error, forced_ties
from evaluation.report import gap_rows, interval, table
from evaluation.rollout import Episodes, rollout
from evaluation.scores import scores
from playing.choose import on_part, split
from playing.generalization import generalization
from playing.optimum import best_of, of_optimal

if TYPE_CHECKING:
    from envs.vec_env import VecEnv

STATES = 2000  # whose symmetry is looked at
KINDS = ("sampled", "greedy")  # of actions
SHIFTED = {"mirror": "mirrored", "rotate": "rotated", "colours": "other colours"}


def measure(
    policy: Policy,
    env: VecEnv,
    options: Mapping[str, Any],
    settings: Mapping[str, Any],
    shifted: VecEnv | None = None,
) -> tuple[dict[str, Any], Any]:
    """Play `episodes` episodes with each kind of actions -> what `evaluate.py` writes of them; observations met.

    Args:
        env: made with `options`.
        shifted: the same with shifted levels.

    Raises:
        EndlessEpisode, FloatingPointError: as `evaluation.rollout.rollout`.
    """
    result: dict[str, Any] = {}
    played = _play(policy, env, settings)
    if env.symmetry is not None:
        states = played["sampled"].states
        error = equivariance_error(policy, env.symmetry, states)
        result["equivariance_error"] = error and float(f"{error:.1e}")
        result["forced_ties"] = round(forced_ties(env.symmetry, states), 4)
    best = best_of(played["sampled"].levels, options)  # the same levels with both kinds of actions
    result |= _scored(played, best)
    if shifted is not None:
        # a level that is shifted is the same in all but what it looks like, so its optimum is too
        result["shifted"] = {"by": settings["shift"], **_scored(_play(policy, shifted, settings), best)}
    known = split(policy, options, settings)
    if known is not None:
        again: dict[str, Any] = {"seed": settings["seed"], "patience": settings["patience"]}
        result["levels"] = generalization(
            known,
            lambda part: on_part(part, policy, options, settings),
            lambda env: rollout(policy.remembering(), env, settings["episodes"], **again),
            played["sampled"] if options.get("part") == "test" else None,
        )
    return result, played["greedy"].states


def _play(policy: Policy, env: VecEnv, settings: Mapping[str, Any]) -> dict[str, Episodes]:
    playing = {"seed": settings["seed"], "keep": STATES, "patience": settings["patience"]}
    return {
        kind: rollout(policy.remembering(), env, settings["episodes"], deterministic=kind == "greedy", **playing)
        for kind in KINDS
    }


def _scored(played: Mapping[str, Episodes], best: np.ndarray | str | None) -> dict[str, Any]:
    """The scores for each kind of actions, and the shares of the best possible return."""
    result: dict[str, Any] = {
        kind: {key: value and value.to_data() for key, value in scores(episodes).items()}
        for kind, episodes in played.items()
    }
    shares = {kind: of_optimal(episodes, best) for kind, episodes in played.items()}
    if isinstance(best, np.ndarray):
        return {**result, "of_optimal": {kind: share["of_optimal"] for kind, share in shares.items()}}
    return {**result, **shares["sampled"]}


def score_table(result: Mapping[str, Any]) -> str:
    """The scores that `measure` returned, as text."""
    measures = ["return", *(["success"] if result["sampled"]["success"] else []), "length"]
    optimal, reason, shifted = (result.get(key) for key in ("of_optimal", "of_optimal_left_out", "shifted"))
    header = ["actions", *measures, *(["of optimal"] if optimal else [])]
    rows = []
    for kind in KINDS:
        for name, part in [(kind, result), *([(f"{kind}, {SHIFTED[shifted['by']]}", shifted)] if shifted else [])]:
            share = [interval(part["of_optimal"][kind])] if optimal else []
            rows.append([name, *(interval(part[kind][measure]) for measure in measures), *share])
    below = f"\n'of optimal' is left out: {reason}" if reason else ""
    gap = "; ".join(text for _, text in gap_rows(result.get("levels")))
    below += f"\ngeneralization gap, sampled actions: {gap}" if gap else ""
    return f"means and 95% intervals over episodes\n{table(header, rows)}{below}"


def symmetry_line(policy: Policy, env: VecEnv, result: Mapping[str, Any]) -> str:
    """How far the policy obeys the symmetry that its environment declares."""
    assert env.symmetry is not None
    share, error = result["forced_ties"], result["equivariance_error"]
    obeyed = f"equivariance error {error}"
    if error is None:
        obeyed = "its outputs depend on the episode so far, so they are not compared"
    elif policy.spec["symmetry"] is None:
        obeyed = f"not constrained: its outputs differ by up to {error} between symmetric states"
    return f"symmetry {env.symmetry.group.name}: forced ties in {share:.1%} of states, {obeyed}"
