"""Train a model in its run folder: learn, evaluate, save the policy and write the reports."""

from __future__ import annotations

import json
import platform
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3 import A2C
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from agents import Policy, save_policy
from agents.diagnostics import equivariance_error
from agents.features import check_finite_features, outside_encoder
from agents.ppo.implementation import Diverged
from agents.saved.specification import versions
from encoders.parts import parts_of
from envs.errors import EnvironmentFailed
from envs.names import simulator_of
from evaluation.callbacks import Evaluate, ShowProgress, StopOnSignal
from evaluation.gradients import GradientNorm
from evaluation.pictures import draw_run
from evaluation.report import parameter_counts, result_table
from evaluation.rollout import EndlessEpisode, Episodes, Interrupted, rollout
from evaluation.runs import is_of_tuning, read_run, write_config
from evaluation.schema import read_evaluations
from evaluation.scores import of_bodies, scores
from evaluation.tensorboard import finished
from learning.build import Built, evaluated_part, evaluating, evaluation_options, evaluation_seed, saved_options
from learning.failed import crash_file, kept, of_an_older_result
from learning.final import numbers
from learning.replays import Replays, chosen
from learning.rollback import MOST
from learning.snapshot import NotResumed, Snapshots
from learning.transfer import played_elsewhere
from learning.watch import NotFinite, Watch, bad_tensor
from playing.generalization import generalization
from playing.optimum import best_of, of_optimal
from storage.durable import write_file

FINAL = 1_000_000  # the episodes of the last evaluation begin this far from those of the first one


def learn(
    built: Built,
    config: Mapping[str, Any],
    folder: Path,
    snapshot: Mapping[str, Any] | None = None,
    rollbacks: Sequence[Mapping[str, Any]] = (),
    evaluated: Callable[[], object] = lambda: None,
) -> tuple[dict[str, Any] | None, int]:
    """Train a model in its run folder -> `result.json`, None after an interruption; the signal, 0 if there was none.

    Args:
        snapshot: what an interrupted run goes on from.
        rollbacks: those of the run; one more than in `snapshot` if it goes back to that now.
        evaluated: called after each evaluation; an exception of it ends learning.

    Raises:
        NotResumed: the run cannot go on from the snapshot.
        NotFinite: a loss, a gradient, a parameter, a reward or an observation is NaN or infinite.
        FloatingPointError: the output of the untrained encoder is.
        EndlessEpisode: no episode of an evaluation has ended.
        EnvironmentFailed: the environment raised an exception, its `__cause__`, or broke its promises.
        RuntimeError: the algorithm raised a ValueError while learning.
    """
    begin = time.perf_counter()
    model, env, evaluation = built.model, built.evaluation_env, config["evaluation"]
    symmetry = getattr(env, "symmetry", None)
    about: dict[str, Any] = {
        "environment": saved_options(config),
        "command": shlex.join(["python", "train.py", *config["command"]]),
    }

    def diagnose(states: Any) -> dict[str, float]:
        """The equivariance error where the environment declares a symmetry, whether or not the policy obeys it."""
        error = None if symmetry is None else equivariance_error(Policy.of(model), symmetry, states)
        return {} if error is None else {"equivariance_error": error}

    replays = Replays(
        evaluation_options(config, evaluated_part(config, built.split)),
        chosen(evaluation["videos"], config["total_timesteps"], evaluation["every"]),
        lambda replay: model.logger.show(replay, model.num_timesteps),  # type: ignore[attr-defined]
    )
    stop, watch = StopOnSignal(), Watch()
    waiting: dict[str, Any] = {"patience": evaluation["patience"], "stop": lambda: stop.requested}
    evaluate = Evaluate(
        env,
        lambda: Policy.of(model).remembering(),
        every=evaluation["every"],
        episodes=evaluation["episodes"],
        seed=evaluation_seed(config),
        file=folder / "evaluations.csv",
        save_best=lambda measured: save_policy(
            model, folder / "best", **about, score=as_score(measured, evaluation["episodes"])
        ),
        training_levels=built.training_levels,
        diagnose=diagnose,
        check=watch.check,
        show=replays,
        evaluated=evaluated,
        **waiting,
    )
    if outside_encoder(model.policy) is not None:
        env.seed(evaluation_seed(config))
        check_finite_features(model.policy, Policy.of(model).normalize(env.reset()))
    norm = GradientNorm(parts_of)
    before = {"learning": 0.0, "evaluation": 0.0} if snapshot is None else snapshot["seconds"]

    def seconds() -> dict[str, float]:
        """Wall seconds of this run, those before its last snapshot included."""
        learning = before["learning"] + time.perf_counter() - begin - evaluate.seconds
        return {"learning": learning, "evaluation": before["evaluation"] + evaluate.seconds}

    def resumed() -> None:
        """Write `config.yaml` anew if the run is longer now, or its policy will be played elsewhere."""
        recorded = read_run(folder).config
        longer = recorded.get("total_timesteps") != config["total_timesteps"]
        if longer or recorded.get("transfer", {}) != config["transfer"]:
            write_config(folder, {**recorded, **config})
            model.logger.describe(config, model.num_timesteps)  # type: ignore[attr-defined]

    def keep_what_was_learned() -> str:
        """Save the policy of a run that does not end, unless that of an older result is there; where it is."""
        if older := of_an_older_result(folder):
            return older
        save_policy(model, folder / "policy", **about)
        draw_run(read_run(folder), folder / "learning_curve.png")
        return f"what was learned is in {folder / 'policy'}"

    snapshots = Snapshots(
        folder,
        **config["snapshot"],
        stop=stop,
        evaluate=evaluate,
        norm=norm,
        save=lambda place: save_policy(model, place, **about),
        check=watch.check,
        seconds=seconds,
        state=snapshot,
        rollbacks=rollbacks,
        resumed=resumed,
    )

    def not_finite(error: FloatingPointError) -> NotFinite:
        steps, taken = model.num_timesteps, snapshots.taken
        left = kept(model, snapshots, folder)
        if taken and len(rollbacks) < MOST and config["on_nonfinite"] == "stop":
            left += ", and with on_nonfinite=rollback in another way"
        return NotFinite(error, steps, taken, rollbacks, left)

    progress = [ShowProgress(config["total_timesteps"], evaluate)] if config["progress"] else []
    with stop:
        try:
            callbacks = [watch, snapshots, stop, evaluate, norm, *progress]
            model.learn(config["total_timesteps"], callback=callbacks, **_logging(model))
            spent = seconds()
            watch.check()
            policy = Policy.of(model).remembering()
            seed = evaluation_seed(config) + FINAL
            play = partial(rollout, episodes=evaluation["final_episodes"], seed=seed, **waiting)
            final = play(policy, env)
            part = partial(evaluating, config, config["env"]["engine"])
            tested = None if built.training_levels is None else final
            levels, transfer = None, {}
            if not is_of_tuning(config):  # whose runs are no results
                levels = built.split and generalization(built.split, part, partial(play, policy), tested)
                transfer = played_elsewhere(model, config, about, waiting["stop"])
        except (Interrupted, KeyboardInterrupt):
            if not stop.requested or bad_tensor(model):
                raise
            print(f"{_interrupted(model, snapshots.taken)}; {keep_what_was_learned()}")
            return None, stop.number
        except EndlessEpisode as error:
            raise EndlessEpisode(f"{error}; {keep_what_was_learned()}") from error
        except FloatingPointError as error:
            raise not_finite(error) from error
        except EnvironmentFailed as error:
            left = crash_file(error, folder, about["environment"]) + kept(model, snapshots, folder)
            raise EnvironmentFailed(f"{error}. {left}") from error.__cause__
        except NotResumed:
            raise
        except ValueError as error:
            if "found invalid values" in str(error):  # PyTorch's message for a distribution with NaN parameters
                raise not_finite(Diverged(bad_tensor(model) or "an action", model.num_timesteps)) from error
            # a ValueError would be taken for a mistake in the configuration, which is shown without a traceback
            raise RuntimeError(f"learning failed after {model.num_timesteps:,} steps: {error}") from error
        finally:
            for bar in progress:
                bar.close()
        diagnosed = diagnose(final.states)
    result = _result(model, config, final, diagnosed, best_of(final.levels, about["environment"]))
    if levels:
        result["levels"] = levels
    if bodies := of_bodies(final):
        result["bodies"] = {name: score.to_data() for name, score in bodies.items()}
    if transfer:
        result["transfer"] = transfer
    if rollbacks:
        result["rollbacks"] = [*rollbacks]
    save_policy(model, folder / "policy", **about, score=as_score(scores(final), evaluation["final_episodes"]))
    evaluations = read_evaluations((folder / "evaluations.csv").read_bytes(), None, grows=True)
    for key, value in numbers(result, evaluations, config["env"]["id"]).items():
        model.logger.record(key, value)
    model.logger.dump(model.num_timesteps)
    model.logger.show(finished())  # type: ignore[attr-defined]
    model.logger.close()
    timing = {
        "wall_seconds": round(sum(before.values()) + time.perf_counter() - begin, 2),
        "learning_seconds": round(spent["learning"], 2),
        "evaluation_seconds": round(spent["evaluation"], 2),
        "steps_per_second": round(model.num_timesteps / spent["learning"]),
        "device": torch.cuda.get_device_name() if config["device"] == "cuda" else "the CPU",
        "machine": platform.platform(),
    }
    write_file(folder / "timing.json", json.dumps(timing, indent=2) + "\n")
    write_file(
        folder / "result.json", json.dumps(result, indent=2) + "\n"
    )  # written last, since it marks the run as finished
    run = read_run(folder)
    draw_run(run, folder / "learning_curve.png")
    print(result_table(run))
    return result, 0


def _logging(model: Any) -> dict[str, Any]:
    """The options of `learn` with which a model logs as often as SB3 does, interrupted or not."""
    if not isinstance(model, OnPolicyAlgorithm):
        return {}
    every = 100 if isinstance(model, A2C) else 1
    model.dump_logs = model.logger.after_rollouts(model.dump_logs, every)  # type: ignore[attr-defined,method-assign]
    return {"log_interval": 1}


def _interrupted(model: BaseAlgorithm, taken: int) -> str:
    """When a run was interrupted, and from where it goes on; `taken`: the steps of its last snapshot, 0 without one."""
    if not taken:
        return f"interrupted after {model.num_timesteps:,} steps"
    if model.num_timesteps - taken <= model.n_envs:  # it ended at the step after its snapshot
        return f"interrupted after {taken:,} steps; the same command goes on from there"
    return f"interrupted after {model.num_timesteps:,} steps; the same command goes on from {taken:,} steps"


def _result(
    model: BaseAlgorithm,
    config: Mapping[str, Any],
    final: Episodes,
    diagnosed: Mapping[str, float],
    best: np.ndarray | str | None,
) -> dict[str, Any]:
    """The content of `result.json`; it holds no times, so equal runs give equal files."""
    return {
        **{key: config[key]["name"] for key in ("env", "agent", "encoder")},
        "symmetry": config["symmetry"]["method"],
        "seed": config["seed"],
        "steps": model.num_timesteps,
        **as_score(scores(final), config["evaluation"]["final_episodes"]),
        **of_optimal(final, best),
        **{key: round(value, 5) for key, value in diagnosed.items()},  # an exact symmetry leaves rounding errors
        "parameters": parameter_counts(model.policy),
        "simulator": simulator_of(config["env"]["id"]),
        "versions": versions(),
    }


def as_score(measured: Mapping[str, Any], episodes: int) -> dict[str, Any]:
    """Intervals as data, with the number of episodes and the kind of actions."""
    intervals = {key: interval and interval.to_data() for key, interval in measured.items()}
    return {"actions": "sampled", "episodes": episodes, **intervals}
