"""The cost of an equivariant network relative to an ordinary one of the same widths, in one run on one thread.

    python benchmarks/symmetry_cost.py [--groups C2 C4 D4] [--rounds 15] [--json PATH]

    acting        forward without gradients, weights expanded once (`symmetry.expanded`), as rollouts are collected
    forward       forward without gradients, weights expanded in every call, as in target networks
    learning      forward and backward
    step          forward, backward, clipping by norm and Adam: a minibatch step of eager PPO

Figures are CPU time relative to the ordinary network's: medians over rounds that time both in turn, for C2, C4 and D4,
at four batch sizes. The vector network has three layers of 128 units and tanh; the grid network three 3×3 convolutions
of 32 channels and ReLU on 7x7 cells. A last table has the milliseconds that building each registered policy takes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from timing import forward, learning, machine, output, seconds

from agents import make_agent
from envs import make_vec_env
from symmetry import EquivariantConv2d, EquivariantLinear, Group, Representation, cyclic, dihedral, expanded

BATCHES = (1, 64, 256, 1024)
WIDTH, CHANNELS, GRID = 128, 32, (7, 7)
MIRROR, TURN = ([0, 1], [-1, 1]), ([1, 0], [1, -1])
GROUPS: dict[str, tuple[Group, list[Any]]] = {  # and how each generator acts on the plane
    "C2": (cyclic(2), [MIRROR]),
    "C4": (cyclic(4), [TURN]),
    "D4": (dihedral(4), [TURN, ([0, 1], [1, -1])]),
}
POLICIES = [
    ("CartPole", {}),
    ("Acrobot", {}),
    ("Pendulum", {}),
    *[(name, {}) for name in ("Reacher-v5", "Swimmer-v5", "Walker2d-v5", "Ant-v5") if find_spec("mujoco")],
    ("DoorKey-8x8", {}),
    ("DoorKey-8x8", {"view": "full"}),
]
SECONDS = 0.02  # for each measurement in a round


def vectors(group: Group, plane: list[Any]) -> tuple[nn.Module, nn.Module, tuple[int, ...]]:
    """An equivariant and an ordinary MLP, and the shape of what they read."""
    rep = Representation.regular(group) * (WIDTH // group.order)
    ours = [layer for _ in range(3) for layer in (EquivariantLinear(rep, rep), nn.Tanh())]
    plain = [layer for _ in range(3) for layer in (nn.Linear(WIDTH, WIDTH), nn.Tanh())]
    return nn.Sequential(*ours), nn.Sequential(*plain), (WIDTH,)


def grids(group: Group, plane: list[Any]) -> tuple[nn.Module, nn.Module, tuple[int, ...]]:
    """The same with convolutions."""
    rep, moved = Representation.regular(group) * (CHANNELS // group.order), Representation(group, plane)
    ours = [layer for _ in range(3) for layer in (EquivariantConv2d(rep, rep, moved, GRID), nn.ReLU())]
    plain = [layer for _ in range(3) for layer in (nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.ReLU())]
    return nn.Sequential(*ours), nn.Sequential(*plain), (CHANNELS, *GRID)


def ratio(ours: Callable[[], Any], plain: Callable[[], Any], rounds: int) -> float:
    """The ratio of their CPU times: the median over rounds in which each takes its turn."""
    calls = max(3, int(SECONDS / max(seconds(plain, 5), 1e-6)))
    seconds(ours, calls)
    return float(np.median([seconds(ours, calls) / seconds(plain, calls) for _ in range(rounds)]))


def measure(network: nn.Module, plain: nn.Module, shape: tuple[int, ...], batch: int, rounds: int) -> dict[str, float]:
    x = torch.randn(batch, *shape)
    with torch.no_grad(), expanded(network):
        acting = ratio(forward(network, x), forward(plain, x), rounds)
    return {
        "acting": acting,
        "forward": ratio(forward(network, x), forward(plain, x), rounds),
        "learning": ratio(learning(network, x), learning(plain, x), rounds),
        "step": ratio(learning(network, x, steps=True), learning(plain, x, steps=True), rounds),
    }


def building(name: str, options: dict[str, Any]) -> float:
    """CPU milliseconds to build a policy: those of an agent with encoder=homomorphic, less one with encoder=mlp."""
    env = make_vec_env(name, n_envs=1, **options)
    times: dict[str, list[float]] = {"homomorphic": [], "mlp": []}
    for _ in range(5):
        for encoder, taken in times.items():
            begin = time.process_time()
            make_agent(env, encoder, "ppo", n_steps=8, batch_size=8, device="cpu", implementation="eager")
            taken.append(time.process_time() - begin)
    return 1000 * max(0.0, float(np.median(times["homomorphic"]) - np.median(times["mlp"])))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--groups", nargs="+", default=list(GROUPS), choices=GROUPS)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=output, help="write the numbers there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    about = machine("torch")
    print(f"\n{'':<22}{'batch':>6}{'acting':>10}{'forward':>10}{'learning':>10}{'step':>10}")
    ratios: dict[str, dict[str, float]] = {}
    for kind, make in {"vectors": vectors, "grids": grids}.items():
        for name in options.groups:
            ours, plain, shape = make(*GROUPS[name])
            for batch in BATCHES:
                row = measure(ours, plain, shape, batch, options.rounds)
                ratios[f"{kind} {name} {batch}"] = row
                print(f"{kind + ', ' + name:<22}{batch:>6}" + "".join(f"{r:>10.2f}" for r in row.values()), flush=True)
    print("\nbuilding a policy, ms more than with encoder=mlp\n")
    built = {f"{name} {about.get('view', '')}".strip(): building(name, about) for name, about in POLICIES}
    for name, milliseconds in built.items():
        print(f"{name:<22}{milliseconds:>8.0f}")
    if options.json:
        results = {"machine": about, "ratios": ratios, "building_ms": built}
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
