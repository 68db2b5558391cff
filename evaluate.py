"""Measure one policy: return, success and length over fresh episodes, with sampled and with greedy actions.

    python evaluate.py --list
    python evaluate.py policy=pretrained/CartPole-homomorphic video=replay.gif
    python evaluate.py policy=pretrained/DoorKey-6x6-gnn env=DoorKey-8x8 episodes=200
    python evaluate.py policy=pretrained/DoorKey-6x6-gnn shift=mirror
    python evaluate.py policy=runs/DoorKey-5x5/ppo-transformer/default/seed=0 attention=maps.png
    python evaluate.py policy=runs/bodies/ppo-gnn/default/seed=0 env=Centipede-8 listens=listens.png
    python evaluate.py policy=pretrained/DoorKey-8x8-cnn inspect=page.html
    python evaluate.py policy=pretrained/DoorKey-6x6-gnn export=policy.onnx
    python evaluate.py policy=pretrained/CartPole-homomorphic lipschitz=true
    python evaluate.py replay=runs/CartPole/ppo-mlp/default/seed=0/crash.json
    python evaluate.py policy=Pendulum-v1.zip normalization=vecnormalize.pkl env=Pendulum

`env=` replaces the environment's id only: the view, shuffle, history and normalization the policy was trained with
stay. `env.kwargs.<name>=` adds to the environment's own keyword arguments: `env.kwargs.max_episode_steps=200`.
`shift=` plays the same levels mirrored, rotated or in other colours as well, `shuffle=` moves the cells of the grid.
`replay=` plays the episode of a crash file again; the exit code is 1 if an exception comes, 0 if none does.
A `.zip` is a model that Stable-Baselines3 saved; it does not say where it was trained, so `env=` is needed.

From Python: `evaluate({"policy": "pretrained/CartPole-homomorphic", "episodes": 20})`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from configs.command_line import command_line
from configs.compose import UsageError, compose, overrides_of
from envs.names import short_name_of, simulator_of
from playing.film import can_write_mp4
from playing.show import attend, export, listen, record
from pretrained.shelf import READING, listing
from storage.durable import write_file

SUFFIXES = {
    "video": (".gif", ".mp4"),
    "attention": (".png",),
    "listens": (".png",),
    "inspect": (".html",),
    "export": (".onnx", ".pt"),
}  # of files to write


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
    if settings["video"] is not None and Path(settings["video"]).suffix == ".mp4" and not can_write_mp4():
        needs = 'needs the package PyAV: pip install -e ".[video]"; a .gif needs nothing more'
        raise UsageError(f"video={settings['video']} {needs}")
    for key in (*SUFFIXES, "output"):
        if settings[key] is not None and not Path(settings[key]).parent.is_dir():
            raise UsageError(f"{key}={settings[key]}: there is no folder {Path(settings[key]).parent}")
    for key in ("video", "attention", "inspect"):
        if settings["shift"] is not None and settings[key] is not None:
            raise UsageError(f"{key}= draws levels as they are, and shift= changes them; leave one of the two out")
    if not isinstance(settings["lipschitz"], bool):
        raise UsageError(f"lipschitz is true or false; got {settings['lipschitz']!r}")
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

    from agents.diagnostics import transformer_of
    from agents.export import check_export
    from agents.saved.specification import versions
    from playing.choose import another_family, beside, environment_options, is_sb3, load, make, prepared
    from playing.lipschitz import actor_of, lipschitz, lipschitz_line
    from playing.listens import check_listens
    from playing.measure import measure, score_table, symmetry_line

    if settings["device"] not in ("auto", "cpu", "cuda"):
        raise UsageError(f"device is auto, cpu or cuda; got {settings['device']!r}")
    if settings["device"] == "cuda" and not torch.cuda.is_available():
        raise UsageError("device=cuda, but PyTorch sees no CUDA device here; use device=cpu or device=auto")
    torch.set_num_threads(settings["threads"])
    policy = load(settings)
    if settings["attention"]:
        transformer_of(policy)  # or say now that there is none
    if settings["listens"]:
        check_listens(policy)
    if settings["export"]:
        check_export(policy, settings["export"])
    if settings["lipschitz"]:
        actor_of(policy)
    if settings["inspect"]:
        actor_of(policy, "inspect")
    options = environment_options(policy, settings)
    policy, env = prepared(policy, options, settings)
    shift = settings["shift"]
    shifted = make(settings, {**options, "shift": shift}) if shift else None

    likely = Path(settings["policy"]).with_suffix("") / "vecnormalize.pkl"  # where RL Baselines3 Zoo puts it
    if is_sb3(settings) and settings["normalization"] is None and likely.is_file():
        print(f"note: {likely} is not used; if the policy was trained with it, add normalization={likely}")
    name = short_name_of(options["id"]) or options["id"]
    played = f"{settings['episodes']} episodes with sampled actions, as many with greedy ones"
    if options.get("part") == "test":
        held_out, levels = options.get("held_out"), options["levels"]
        others = f"left for tests by env.held_out={held_out}" if held_out else f"none of the {levels:,} of its training"
        played += f", on levels that are {others}"
    print(f"{settings['policy']} in {name}: {played}", flush=True)
    if note := another_family(policy, options, settings):
        print(f"note: {note}")
    simulator, installed = simulator_of(options["id"]), versions()
    trained = (policy.spec.get("versions") or {}).get(simulator)
    if trained and trained != installed[simulator]:
        print(
            f"note: trained with {simulator} {trained}, and {installed[simulator]} is installed: "
            f"{name} need not be the same environment in both"
        )
    kwargs = (settings.get("env") or {}).get("kwargs")
    result: dict[str, Any] = {"policy": str(settings["policy"]), "env": name}
    result |= {"simulator": simulator, "versions": installed}
    shuffle = settings["shuffle"]
    result |= {"episodes": settings["episodes"], "seed": settings["seed"], **({"kwargs": kwargs} if kwargs else {})}
    result |= {} if shuffle is None else {"shuffle": shuffle}
    measured, states = measure(policy, env, options, settings, shifted)
    result |= measured
    print(score_table(result))
    if env.symmetry is not None:
        print(symmetry_line(policy, env, result))
    if settings["lipschitz"]:
        result["lipschitz"] = lipschitz(policy, states)
        print(lipschitz_line(result["lipschitz"]))
    changed = (f"-{shift}" if shift else "") + ("" if shuffle is None else f"-shuffle={shuffle}")
    file = f"evaluation-{re.sub(r'[/:]', '_', name)}-{settings['seed']}{changed}.json"
    output = Path(settings["output"]) if settings["output"] else beside(settings, file)
    write_file(output, json.dumps(result, indent=2) + "\n")
    print(f"scores: {output}")
    if settings["video"]:
        print(record(policy, options, settings["seed"], Path(settings["video"])))
    if settings["export"]:
        print(export(policy, states, Path(settings["export"])))
    if settings["attention"]:
        print(attend(policy, options, settings["seed"], Path(settings["attention"])))
    if settings["listens"]:
        print(listen(policy, options, states, Path(settings["listens"])))
    if settings["inspect"]:
        from inspecting.page import inspect

        print(inspect(policy, options, settings["seed"], str(settings["policy"]), Path(settings["inspect"])))
    return result


def main(overrides: list[str]) -> int:
    return 1 if evaluate(overrides).get("raised") else 0


if __name__ == "__main__":
    if not sys.argv[1:] or "--list" in sys.argv:
        print(f"{listing()}\n\n{READING}")
    else:
        command_line("evaluate", main)
