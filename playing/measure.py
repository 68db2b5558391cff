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


def measure(
    policy: Policy, env: VecEnv, options: Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[dict[str, Any], Any]:
    """Play `episodes` episodes with each kind of actions -> what `evaluate.py` writes of them; observations met.

    Raises:
        EndlessEpisode, FloatingPointError: as `evaluation.rollout.rollout`.
    """
    result: dict[str, Any] = {}
    played: dict[str, Episodes] = {}
    for actions in KINDS:
        playing: dict[str, Any] = {"seed": settings["seed"], "deterministic": actions == "greedy", "keep": STATES}
        playing["patience"] = settings["patience"]
        episodes = played[actions] = rollout(policy.remembering(), env, settings["episodes"], **playing)
        if env.symmetry is not None and actions == "sampled":
            error = equivariance_error(policy, env.symmetry, episodes.states)
            result["equivariance_error"] = error and float(f"{error:.1e}")
            result["forced_ties"] = round(forced_ties(env.symmetry, episodes.states), 4)
        result[actions] = {key: value and value.to_data() for key, value in scores(episodes).items()}
    best = best_of(episodes.levels, options)  # the same levels with both kinds of actions
    shares = {kind: of_optimal(played[kind], best) for kind in KINDS}
    if isinstance(best, np.ndarray):
        result["of_optimal"] = {kind: share["of_optimal"] for kind, share in shares.items()}
    else:
        result |= shares["sampled"]
    known = split(policy, options, settings)
    if known is not None:
        again: dict[str, Any] = {"seed": settings["seed"], "patience": settings["patience"]}
        result["levels"] = generalization(
            known,
            lambda part: on_part(part, policy, options, settings),
            lambda env: rollout(policy.remembering(), env, settings["episodes"], **again),
            played["sampled"] if options.get("part") == "test" else None,
        )
    return result, episodes.states


def score_table(result: Mapping[str, Any]) -> str:
    """The scores that `measure` returned, as text."""
    measures = ["return", *(["success"] if result["sampled"]["success"] else []), "length"]
    optimal, reason = result.get("of_optimal"), result.get("of_optimal_left_out")
    header = ["actions", *measures, *(["of optimal"] if optimal else [])]
    rows = [[kind, *(interval(result[kind][measure]) for measure in measures)] for kind in KINDS]
    rows = [[*row, interval(optimal[row[0]])] for row in rows] if optimal else rows
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
