"""Measure one policy: return, success and length over fresh episodes, with sampled and with greedy actions.

    python evaluate.py --list
    python evaluate.py policy=pretrained/CartPole-homomorphic video=replay.gif
    python evaluate.py policy=pretrained/DoorKey-6x6-gnn env=DoorKey-8x8 episodes=200
    python evaluate.py policy=runs/DoorKey-5x5/ppo-transformer/default/seed=0 attention=maps.png
    python evaluate.py policy=pretrained/DoorKey-6x6-gnn export=policy.onnx
    python evaluate.py replay=runs/CartPole/ppo-mlp/default/seed=0/crash.json
    python evaluate.py policy=Pendulum-v1.zip normalization=vecnormalize.pkl env=Pendulum

`env=` replaces the environment's id only: the view, shuffle, history and normalization the policy was trained with
stay. `env.kwargs.<name>=` adds to the environment's own keyword arguments: `env.kwargs.max_episode_steps=200`.
`replay=` plays the episode of a crash file again; the exit code is 1 if an exception comes, 0 if none does.
A `.zip` is a model that Stable-Baselines3 saved; it does not say where it was trained, so `env=` is needed.

From Python: `evaluate({"policy": "pretrained/CartPole-homomorphic", "episodes": 20})`.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.command_line import command_line
from configs.compose import UsageError, compose, overrides_of
from envs.names import id_of, short_name_of, simulator_of
from pretrained.shelf import READING, listing
from storage.durable import write_file

if TYPE_CHECKING:
    from agents import Policy
    from envs.vec_env import VecEnv

ENVIRONMENTS = 20  # played side by side
STATES = 2000  # whose symmetry is looked at
MOMENTS = 4  # whose attention is drawn
SUFFIXES = {"video": (".gif",), "attention": (".png",), "export": (".onnx", ".pt")}  # of files to write
EXAMPLES = 100  # observations on which an exported file is compared with its policy


def evaluate(config: Mapping[str, Any] | Sequence[str] = (), **options: Any) -> dict[str, Any]:
    """Measure a policy and write the scores; returns what was written. With `replay`, play a crash file again.

    Args:
        config: a partial mapping or a list of overrides of configs/evaluate.yaml.
        options: more entries of the mapping.

    Raises:
        FileNotFoundError: there is no such policy, or crash file.
        ValueError: an option that cannot be, a damaged policy, or one that does not fit the environment.
        OSError: the scores, the video or the maps cannot be written.
    """
    given = overrides_of(config) if isinstance(config, Mapping) else list(config)
    settings = compose("evaluate", given + overrides_of(options))
    for key, least in (("episodes", 1), ("patience", 1), ("seed", 0), ("threads", 1)):
        if not isinstance(settings[key], int) or settings[key] < least:
            raise UsageError(f"{key} is a whole number, at least {least}; got {settings[key]!r}")
    for key, suffixes in SUFFIXES.items():
        if settings[key] is not None and Path(settings[key]).suffix not in suffixes:
            raise UsageError(f"{key} is the name of a {' or '.join(suffixes)} file; got {settings[key]}")
    for key in ("video", "attention", "export", "output"):
        if settings[key] is not None and not Path(settings[key]).parent.is_dir():
            raise UsageError(f"{key}={settings[key]}: there is no folder {Path(settings[key]).parent}")
    if settings["replay"] is not None:
        return _replay(settings)
    if settings["policy"] is None:
        raise UsageError("policy is missing: give policy=<value>; python evaluate.py --list shows the pretrained ones")
    return _evaluate(settings)


def _replay(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Play the episode of a crash file again -> the name of the exception, None if there was none, and its step."""
    from learning.crash import read_crash, replay, told

    crash = read_crash(Path(settings["replay"]))
    found = replay(crash, settings["trust"])
    print(told(crash, found))
    raised = found.error and type(found.error).__name__
    return {"replay": settings["replay"], "raised": raised, "step": found.step, "same": found.same}


def _evaluate(settings: dict[str, Any]) -> dict[str, Any]:
    import torch

    from agents.diagnostics import equivariance_error, forced_ties, transformer_of
    from agents.export import check_export
    from agents.saved.policy import environment_id
    from agents.saved.schema import check_grid
    from agents.saved.specification import versions
    from envs import make_vec_env
    from envs.levels import EVALUATION
    from envs.make import has_levels
    from envs.missions import WORDS
    from evaluation.report import interval, table
    from evaluation.rollout import rollout
    from evaluation.scores import scores

    if settings["device"] not in ("auto", "cpu", "cuda"):
        raise UsageError(f"device is auto, cpu or cuda; got {settings['device']!r}")
    if settings["device"] == "cuda" and not torch.cuda.is_available():
        raise UsageError("device=cuda, but PyTorch sees no CUDA device here; use device=cpu or device=auto")
    torch.set_num_threads(settings["threads"])
    policy = load(settings)
    if settings["attention"]:
        transformer_of(policy)  # or say now that there is none
    if settings["export"]:
        check_export(policy, settings["export"])
    options = {k: v for k, v in (policy.spec["environment"] or {}).items() if k not in ("engine", "bank")}
    another = settings.get("env") or {}
    options["id"] = another.get("id") or environment_id(policy, settings["trust"])
    kwargs = another.get("kwargs") or {}
    options["kwargs"] = {**(options.get("kwargs") or {}), **kwargs}
    mission = getattr(policy.observation_space, "spaces", {}).get("mission")
    if mission is not None and mission.high.max() < len(WORDS):
        options["words"] = []  # it knows MiniGrid's own, whatever else the environment says
    if is_sb3(settings) and len(policy.observation_space.shape or ()) == 1 and has_levels(options["id"], kwargs):
        options["view"] = "flat"
    if another and not has_levels(options["id"], kwargs):
        options = {key: value for key, value in options.items() if key not in ("view", "shuffle", "words")}
    check_grid({**options, "id": id_of(options["id"])})
    n_envs = min(settings["episodes"], ENVIRONMENTS)
    # levels that training never draws
    env = make_vec_env(**options, n_envs=n_envs, engine="auto", bank=0, first_level=EVALUATION)
    if env.action_space != policy.action_space and not is_sb3(settings):
        raise ValueError(f"the policy acts in {policy.action_space}, {options['id']} in {env.action_space}")
    if another or env.observation_space != policy.observation_space:
        # the network is rebuilt for the space at hand, so that a larger grid can be played where the encoder allows it
        policy = load(settings, env)

    likely = Path(settings["policy"]).with_suffix("") / "vecnormalize.pkl"  # where RL Baselines3 Zoo puts it
    if is_sb3(settings) and settings["normalization"] is None and likely.is_file():
        print(f"note: {likely} is not used; if the policy was trained with it, add normalization={likely}")
    name = short_name_of(options["id"]) or options["id"]
    played = f"{settings['episodes']} episodes with sampled actions, as many with greedy ones"
    print(f"{settings['policy']} in {name}: {played}", flush=True)
    simulator, installed = simulator_of(options["id"]), versions()
    trained = (policy.spec.get("versions") or {}).get(simulator)
    if trained and trained != installed[simulator]:
        print(
            f"note: trained with {simulator} {trained}, and {installed[simulator]} is installed: "
            f"{name} need not be the same environment in both"
        )
    result: dict[str, Any] = {"policy": str(settings["policy"]), "env": name}
    result |= {"simulator": simulator, "versions": installed}
    result |= {"episodes": settings["episodes"], "seed": settings["seed"], **({"kwargs": kwargs} if kwargs else {})}
    symmetry = env.symmetry
    for actions in ("sampled", "greedy"):
        playing: dict[str, Any] = {"seed": settings["seed"], "deterministic": actions == "greedy", "keep": STATES}
        playing["patience"] = settings["patience"]
        episodes = rollout(policy.remembering(), env, settings["episodes"], **playing)
        if symmetry is not None and actions == "sampled":
            error = equivariance_error(policy, symmetry, episodes.states)
            result["equivariance_error"] = error and float(f"{error:.1e}")
            result["forced_ties"] = round(forced_ties(symmetry, episodes.states), 4)
        result[actions] = {key: value and value.to_data() for key, value in scores(episodes).items()}
    measures = ["return", *(["success"] if result["sampled"]["success"] else []), "length"]
    rows = [[actions, *(interval(result[actions][m]) for m in measures)] for actions in ("sampled", "greedy")]
    print("means and 95% intervals over episodes")
    print(table(["actions", *measures], rows))
    if symmetry is not None:
        share, error = result["forced_ties"], result["equivariance_error"]
        obeyed = f"equivariance error {error}"
        if error is None:
            obeyed = "its outputs depend on the episode so far, so they are not compared"
        elif policy.spec["symmetry"] is None:
            obeyed = f"not constrained: its outputs differ by up to {error} between symmetric states"
        print(f"symmetry {symmetry.group.name}: forced ties in {share:.1%} of states, {obeyed}")
    file = f"evaluation-{re.sub(r'[/:]', '_', name)}-{settings['seed']}.json"
    output = Path(settings["output"]) if settings["output"] else beside(settings, file)
    write_file(output, json.dumps(result, indent=2) + "\n")
    print(f"scores: {output}")
    if settings["video"]:
        print(record(policy, options, settings["seed"], Path(settings["video"])))
    if settings["export"]:
        print(export(policy, episodes.states, Path(settings["export"])))
    if settings["attention"]:
        print(attend(policy, options, settings["seed"], Path(settings["attention"])))
    return result


def is_sb3(settings: Mapping[str, Any]) -> bool:
    """Whether the policy is in the zip of a Stable-Baselines3 model."""
    return Path(settings["policy"]).suffix == ".zip" and not str(settings["policy"]).startswith("hub:")


def load(settings: Mapping[str, Any], env: VecEnv | None = None) -> Policy:
    """The policy that the settings name, for the spaces of `env` if it is given.

    Raises:
        FileNotFoundError, ValueError: as `agents.load_policy` and `agents.import_sb3`.
    """
    from agents import import_sb3, load_policy

    source, statistics, device = settings["policy"], settings["normalization"], settings["device"]
    seen = None if env is None else env.observation_space
    if is_sb3(settings):
        acted = None if env is None else env.action_space
        return import_sb3(source, statistics, device=device, observation_space=seen, action_space=acted)
    if statistics is not None:
        raise UsageError("normalization= belongs to the .zip of a Stable-Baselines3 model; this policy has its own")
    return load_policy(source, device=device, trust=settings["trust"], observation_space=seen)


def beside(settings: Mapping[str, Any], file: str) -> Path:
    """Where a file about the policy goes: into its run folder or its own, beside its zip, or, from the Hub, here."""
    from agents.saved.hub import is_on_hub, title
    from agents.saved.policy import find

    if is_sb3(settings):
        return (source := Path(settings["policy"])).with_name(f"{source.stem}-{file}")
    if is_on_hub(settings["policy"]):
        return Path(f"{title(settings['policy'])}-{file}")
    folder = find(settings["policy"])
    return (folder.parent if folder.name in ("policy", ".policy.old") else folder) / file  # the latter after a crash


def record(policy: Policy, options: dict[str, Any], seed: int, file: Path) -> str:
    """Film an episode as a GIF; returns a line that says what it shows."""
    import imageio

    frames, total, rate = [], 0.0, 10
    for _, total, env in episode(policy, options, seed):  # noqa: B007
        frames.append(env.render())
        rate = env.metadata.get("render_fps", 10)
    imageio.mimsave(file, frames, duration=1000 / rate, loop=0)  # type: ignore[arg-type]
    return f"video: {file}, one episode of {len(frames) - 1} steps, return {total:.2f}"


def export(policy: Policy, states: Any, file: Path) -> str:
    """Write the greedy actions as ONNX or TorchScript; returns a line that says so."""
    from agents.export import save_onnx, save_plain

    few = {key: part[:EXAMPLES] for key, part in states.items()} if isinstance(states, Mapping) else states[:EXAMPLES]
    (save_onnx if file.suffix == ".onnx" else save_plain)(policy, file, few)
    return f"export: {file}, whose actions were compared with the policy's"


def attend(policy: Policy, options: dict[str, Any], seed: int, file: Path) -> str:
    """Draw what a transformer attends to at some moments of an episode; returns a line that says what it shows."""
    import numpy as np

    from agents.diagnostics import attention
    from envs.minigrid import picture
    from envs.shuffle import unshuffled
    from evaluation.attention import draw

    view = options.get("view", "partial")
    met = [(observation, picture(env, view)) for observation, _, env in episode(policy, options, seed)]
    steps = np.unique(np.linspace(0, len(met) - 1, MOMENTS).round().astype(int))
    states = {key: np.stack([met[step][0][key] for step in steps]) for key in met[0][0]}
    maps, shuffle = attention(policy, states), options.get("shuffle")
    if shuffle is not None:
        maps["cells"] = unshuffled(maps["cells"], shuffle)
    draw(maps, [met[step][1] for step in steps], [f"step {step}" for step in steps], file)
    return f"attention: {file}, by layer and head at {len(steps)} moments of one episode of {len(met) - 1} steps"


def episode(policy: Policy, options: dict[str, Any], seed: int) -> Iterator[tuple[Any, float, Any]]:
    """What an evaluation of one episode with this seed meets, with sampled actions.

    Yields every observation, the return so far, and the environment in that state.
    """
    import numpy as np
    import torch

    from envs.levels import EVALUATION
    from envs.make import make_nth_env

    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame draws into memory, and needs no screen to complain about
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    env = make_nth_env(index=0, bank=0, first_level=EVALUATION, **{**options, "render_mode": "rgb_array"})
    state, start, total, done = None, np.ones(1, bool), 0.0, False
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        observation, _ = env.reset(seed=seed)
        yield observation, total, env
        while not done:
            action, state = policy.predict(observation, state, start, deterministic=False)
            observation, reward, terminated, truncated, _ = env.step(action)
            total, done, start = total + float(reward), terminated or truncated, np.zeros(1, bool)
            yield observation, total, env
    env.close()


def main(overrides: list[str]) -> int:
    return 1 if evaluate(overrides).get("raised") else 0


if __name__ == "__main__":
    if not sys.argv[1:] or "--list" in sys.argv:
        print(f"{listing()}\n\n{READING}")
    else:
        command_line("evaluate", main)
