"""Train one agent: configuration -> run folder.

    python train.py env=CartPole encoder=homomorphic
    python train.py -m env=DoorKey-5x5 encoder=mlp,cnn,gnn seed=0,1,2

From Python: `train({"env": "CartPole", "encoder": "homomorphic", "seed": 1})`. Torch and Stable-Baselines3 are imported
once the configuration is known to be good.
"""

from __future__ import annotations

import json
import platform
import shlex
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.check import check
from configs.compose import UsageError, command_line, compose, compose_defaults, overrides_of

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
    from stable_baselines3.common.vec_env import VecEnv

EVALUATION_SEED = 1_000_000  # evaluations begin this far from the training seeds
FINAL_SEED = 2_000_000
EVALUATION_ENVS = 20


@dataclass(frozen=True)
class Result:
    """What a run came to.

    Attributes:
        folder: the run folder.
        scores: the content of `result.json`; None if the run was interrupted.
        config: the configuration with every `auto` decided.
    """

    folder: Path
    scores: dict[str, Any] | None
    config: dict[str, Any]


def train(config: Mapping[str, Any] | Sequence[str] = (), **options: Any) -> Result:
    """Train one agent and write its run folder; a finished run with the same configuration is only read.

    Args:
        config: a partial mapping ({"env": "DoorKey-5x5", "agent": {"name": "ppo", "gamma": 0.9}}) or a list of
            overrides as on the command line (["env=DoorKey-5x5", "agent.gamma=0.9"]); `configs/` holds the rest.
        options: more entries of the mapping.

    Raises:
        ValueError: a choice, option or combination that cannot be; nothing has been written.
        OSError: the run folder cannot be written.
        FloatingPointError: learning diverged.
    """
    overrides = (
        overrides_of({**config, **options}) if isinstance(config, Mapping) else [*config, *overrides_of(options)]
    )
    composed, defaults = compose("train", overrides), compose_defaults(overrides)
    check(composed, defaults)
    composed["command"] = overrides
    return _train(composed, defaults)


def decide(config: dict[str, Any], promises: bool) -> dict[str, Any]:
    """The configuration with every `auto` decided, by rules on configuration and hardware alone.

    But for `env.engine`, which is what `build` finds it to be.

    `promises`: whether the encoder states how its features transform under the group.
    """
    import torch

    from envs.make import BANK, has_levels, words_of

    available = torch.cuda.is_available()
    if config["device"] == "cuda" and not available:
        raise UsageError("device=cuda, but PyTorch sees no CUDA device here; use device=cpu or device=auto")
    method = config["symmetry"]["method"]
    if promises and method not in ("auto", "hard"):
        name = config["encoder"]["name"]
        raise UsageError(f"encoder={name} obeys the symmetry by construction; use symmetry=auto, or encoder=mlp")
    env = config["env"]
    if "bank" not in env and has_levels(env["id"], env["kwargs"]):  # a MiniGrid environment of one's own, as env=gym
        env = {**env, "bank": BANK}
    if "bank" in env and not env.get("words") and (words := words_of(env["id"], env["kwargs"])):
        env = {**env, "words": words}  # recorded, so that whoever plays the policy numbers them alike
    evaluation = config["evaluation"]
    every = max(config["total_timesteps"] // 20, 1) if evaluation["every"] == "auto" else evaluation["every"]
    return {
        **config,
        "env": env,
        "device": ("cuda" if available else "cpu") if config["device"] == "auto" else config["device"],
        "threads": 1 if config["threads"] == "auto" else config["threads"],
        "evaluation": {**evaluation, "every": every},
        "symmetry": {**config["symmetry"], "method": ("hard" if promises else "none") if method == "auto" else method},
    }


def _train(config: dict[str, Any], defaults: dict[str, Any]) -> Result:
    """Decide, build, make the folder, learn: in this order, so that what cannot be built leaves nothing behind."""
    import torch

    from agents.equivariance.method import promises
    from agents.make import encoder_named
    from agents.startup import leave_the_compiler_alone
    from evaluation.callbacks import open_logs
    from evaluation.report import result_table
    from evaluation.runs import prepare, read_run, run_folder

    folder = Path(config["run_dir"]) if config["run_dir"] else run_folder(config, defaults)
    encoder = encoder_named(config["encoder"]["class"], config["trust"])
    asked = config
    config = decide(config, promises=promises(encoder))
    if not prepare(folder, config, config["overwrite"]):
        run = read_run(folder)
        print(f"{folder} is finished: nothing to train (overwrite=true trains anew)\n{result_table(run)}")
        return Result(folder, run.result, config)
    torch.set_num_threads(config["threads"])
    leave_the_compiler_alone()
    model, evaluation_env = build(config, encoder)
    env = model.get_env()
    assert env is not None
    config["env"] = {**config["env"], "engine": env.engine}  # type: ignore[attr-defined]
    config["agent"], reason = settled(model, config)
    prepare(folder, config, config["overwrite"], write=True)
    open_logs(model, folder, config)
    with closing(env), closing(evaluation_env), closing(model.logger):
        print(opening(folder, config, asked, reason), flush=True)
        return Result(folder, learn(model, evaluation_env, config, folder), config)


def settled(model: BaseAlgorithm, config: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The agent's configuration with its last `auto`s decided, which need the model; and the reason in words."""
    agent = config["agent"]
    if "implementation" not in agent:
        return agent, ""
    chosen, reason = {"implementation": "sb3", "distinct": False, "overlap": False}, "as chosen"
    if hasattr(model, "decide"):
        fast: Any = model
        reason = fast.decide(config["total_timesteps"])
        chosen = {"implementation": fast.implementation, "distinct": fast.distinct, "overlap": fast.overlapping}
    elif agent["implementation"] == "auto":
        reason = "the only one with these options"
    return {**agent, **chosen}, reason


def build(config: Mapping[str, Any], encoder: type[BaseFeaturesExtractor]) -> tuple[BaseAlgorithm, VecEnv]:
    """The untrained model and the evaluation environments of a decided configuration.

    Raises:
        ValueError: the parts do not fit together.
    """
    from stable_baselines3.common.vec_env import VecNormalize

    from agents import make_agent
    from agents.equivariance.normalization import SymmetricStatistics
    from encoders.base import kind_of
    from envs import make_vec_env, symmetric_ids
    from envs.levels import EVALUATION

    name, options = config["env"]["name"], env_options(config)
    playing = {"engine": config["env"]["engine"], "bank": config["env"].get("bank")}
    env = make_vec_env(**options, **playing, n_envs=config["n_envs"], seed=config["seed"])
    n_envs = min(config["evaluation"]["episodes"], EVALUATION_ENVS)
    # levels that training never draws, and scores in the environment's own rewards
    playing = {"engine": env.engine, "bank": 0, "first_level": EVALUATION}  # type: ignore[attr-defined]
    evaluation_env = make_vec_env(**{**options, "reward_scale": 1.0}, **playing, n_envs=n_envs, seed=EVALUATION_SEED)
    method = config["symmetry"]["method"]
    symmetry = env.symmetry if method != "none" else None  # type: ignore[attr-defined]
    if method != "none" and symmetry is None:
        needs = "encoder=homomorphic and symmetry=hard need" if method == "hard" else f"symmetry={method} needs"
        if config["env"].get("shuffle") is not None:
            raise UsageError(f"shuffled cells have no symmetry, which {needs}; use env.shuffle=null")
        raise UsageError(
            f"{name} declares no symmetry, which {needs}; one is declared in: {', '.join(symmetric_ids())}, "
            "and in all of MiniGrid and BabyAI"
        )
    if config["env"]["normalize"]:
        if kind_of(env.observation_space) != "vector" or not env.observation_space.shape:
            raise UsageError(f"env.normalize standardises vector observations; {name} has others")
        env = VecNormalize(env, norm_reward=False)
        if symmetry is not None:
            env.obs_rms = SymmetricStatistics(symmetry, env.observation_space.shape)  # type: ignore
    check_memory(env, config)
    model = make_agent(
        env,
        encoder,
        config["agent"].get("algorithm", config["agent"]["name"]),
        symmetry,
        method=method,
        weight=config["symmetry"].get("weight", 1.0),
        encoder_options={key: value for key, value in config["encoder"].items() if key not in ("name", "class")},
        seed=config["seed"],
        device=config["device"],
        **({} if config["precision"] == "float32" else {"precision": config["precision"]}),
        **{key: value for key, value in config["agent"].items() if key not in ("name", "algorithm")},
    )
    return model, evaluation_env


def check_memory(env: VecEnv, config: Mapping[str, Any]) -> None:
    """Say how much memory a rollout takes, which grows with n_envs · n_steps, before it is asked for.

    Raises:
        UsageError: more than there is.
    """
    from agents.ppo.rollout import Rollout
    from envs.memory import available_memory, shown

    steps = config["agent"].get("n_steps")
    if not isinstance(steps, int) or steps < 1:
        return
    needed = Rollout.nbytes(steps, config["n_envs"], env.observation_space, env.action_space)
    available = available_memory()
    size = f"a rollout of {config['n_envs']} environments x {steps} steps takes at most {shown(needed)}"
    if available is not None and needed > available:
        raise UsageError(f"{size}, and {shown(available)} are free; take fewer: n_envs=, agent.n_steps=")
    print(f"memory: {size}")


def learn(
    model: BaseAlgorithm, evaluation_env: VecEnv, config: Mapping[str, Any], folder: Path
) -> dict[str, Any] | None:
    """Train, watch, measure and save into the run folder; returns `result.json`, or None after an interruption."""
    import torch

    from agents import Policy, save_policy
    from agents.diagnostics import equivariance_error
    from agents.saved.specification import versions
    from envs.names import simulator_of
    from evaluation.callbacks import Evaluate, GradientNorm, ShowProgress, StopOnSignal, check_finite
    from evaluation.report import draw_run, parameter_counts, result_table
    from evaluation.rollout import EndlessEpisode, Interrupted, rollout
    from evaluation.runs import read_run
    from evaluation.scores import scores

    begin = time.perf_counter()
    evaluation, steps = config["evaluation"], config["total_timesteps"]
    where = torch.cuda.get_device_name() if config["device"] == "cuda" else "the CPU"
    about: dict[str, Any] = {
        "environment": {**env_options(config), "reward_scale": 1.0},
        "command": shlex.join(["python", "train.py", *config["command"]]),
    }
    symmetry = evaluation_env.symmetry  # type: ignore[attr-defined]

    def diagnose(states: Any) -> dict[str, float]:
        """The equivariance error where the environment declares a symmetry, whether or not the policy obeys it."""
        error = None if symmetry is None else equivariance_error(Policy.of(model), symmetry, states)
        return {} if error is None else {"equivariance_error": error}

    stop = StopOnSignal()
    waiting: dict[str, Any] = {"patience": evaluation["patience"], "stop": lambda: stop.requested}
    evaluate = Evaluate(
        evaluation_env,
        lambda: Policy.of(model).remembering(),
        every=evaluation["every"],
        episodes=evaluation["episodes"],
        seed=EVALUATION_SEED,
        file=folder / "evaluations.csv",
        save_best=lambda measured: save_policy(
            model, folder / "best", **about, score=as_score(measured, evaluation["episodes"])
        ),
        diagnose=diagnose,
        **waiting,
    )
    progress = [ShowProgress(steps, evaluate)] if config["progress"] else []
    watching = [stop, evaluate, GradientNorm(), *progress]
    with stop:
        try:
            model.learn(steps, callback=watching)
            learning_seconds = time.perf_counter() - begin - evaluate.seconds
            check_finite(model.policy, model.num_timesteps)
            policy = Policy.of(model).remembering()
            final = rollout(policy, evaluation_env, evaluation["final_episodes"], seed=FINAL_SEED, **waiting)
        except Interrupted:
            save_policy(model, folder / "policy", **about)
            draw_run(read_run(folder), folder / "learning_curve.png")
            print(f"interrupted after {model.num_timesteps:,} steps; what was learned is in {folder / 'policy'}")
            return None
        except EndlessEpisode as error:
            save_policy(model, folder / "policy", **about)
            raise EndlessEpisode(f"{error}; what was learned is in {folder / 'policy'}") from error
        except ValueError as error:
            if "found invalid values" in str(error):  # torch's word for a distribution of NaNs
                raise FloatingPointError(
                    f"learning diverged: the policy is not finite after {model.num_timesteps:,} steps; "
                    "try a lower learning rate"
                ) from error
            raise
        finally:
            for bar in progress:
                bar.close()
        measured, diagnosed = scores(final), diagnose(final.states)
    score = as_score(measured, evaluation["final_episodes"])
    save_policy(model, folder / "policy", **about, score=score)
    for key in ("return", "success"):
        if score[key] is not None:
            model.logger.record(f"final/{key}", score[key]["mean"])
    model.logger.dump(model.num_timesteps)
    model.logger.close()
    result = {
        **{key: config[key]["name"] for key in ("env", "agent", "encoder")},
        "symmetry": config["symmetry"]["method"],
        "seed": config["seed"],
        "steps": model.num_timesteps,
        **score,
        **{key: round(value, 5) for key, value in diagnosed.items()},  # what is left of an exact law is rounding
        "parameters": parameter_counts(model.policy),
        "simulator": simulator_of(config["env"]["id"]),
        "versions": versions(),
    }
    timing = {
        "wall_seconds": round(time.perf_counter() - begin, 2),
        "learning_seconds": round(learning_seconds, 2),
        "evaluation_seconds": round(evaluate.seconds, 2),
        "steps_per_second": round(model.num_timesteps / learning_seconds),
        "device": where,
        "machine": platform.platform(),
    }
    (folder / "timing.json").write_text(json.dumps(timing, indent=2) + "\n")
    (folder / "result.json").write_text(json.dumps(result, indent=2) + "\n")  # last: it says that the run is finished
    run = read_run(folder)
    draw_run(run, folder / "learning_curve.png")
    print(result_table(run))
    return result


def env_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """What `envs.make_env` is given."""
    others = ("name", "normalize", "engine", "bank", *(["words"] if not config["env"].get("words") else []))
    return {key: value for key, value in config["env"].items() if key not in others}


def opening(folder: Path, config: Mapping[str, Any], asked: Mapping[str, Any], reason: str) -> str:
    """What is about to run, where, and why there; `asked` is the configuration before `auto` was decided."""
    import torch

    on_cuda = config["device"] == "cuda"
    device = torch.cuda.get_device_name() if on_cuda else "the CPU"
    if asked["device"] == "auto":
        device += " (device=auto: there is one)" if on_cuda else " (device=auto: PyTorch sees no CUDA device)"
    threads = f"{config['threads']} PyTorch thread{'s' * (config['threads'] > 1)}"
    if asked["threads"] == "auto":
        threads += " (threads=auto: networks of this size are slower with more, and runs repeat bit for bit)"
    engine = {"batched": "the batched engine", "gymnasium": "Gymnasium"}[config["env"]["engine"]]
    bank = config["env"].get("bank")
    levels = "" if bank is None else f", {bank:,} levels" if bank else ", a new level for every episode"
    environments = f"{config['n_envs']} environment{'s' * (config['n_envs'] > 1)} in {engine}{levels}"
    lines = [f"{folder}: {config['total_timesteps']:,} steps of {environments}", f"on {device}, {threads}"]
    if reason:
        once = ", each distinct observation encoded once" if config["agent"]["distinct"] else ""
        lines.append(f"PPO: {config['agent']['implementation']} ({reason}){once}")
        if config["agent"]["overlap"]:
            lines.append("acting on one half of the environments while the other steps")
    return "\n  ".join(lines)


def as_score(measured: Mapping[str, Any], episodes: int) -> dict[str, Any]:
    """Intervals as data, with how they were measured."""
    intervals = {key: interval and interval.to_data() for key, interval in measured.items()}
    return {"actions": "sampled", "episodes": episodes, **intervals}


def main(overrides: list[str]) -> int:
    """One run from the command line; 130, as after any Ctrl-C, if it was interrupted."""
    return 0 if train(overrides).scores is not None else 130


if __name__ == "__main__":
    command_line("train", main)
