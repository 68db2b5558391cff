"""Policies and observations of bodies, renumbered and padded: cases for tests that hold for every agent."""

from __future__ import annotations

import numpy as np
import torch

BOTH = {"train": ["Centipede-4", "Centipede-6"]}
SMALL = {"width": 16, "layers": 2}
RELATIONAL = [
    ("gnn", {**SMALL, "channels": 8}),
    ("gnn", {**SMALL, "channels": 8, "layer": "gcn", "pooling": "mean"}),
    ("gnn", {**SMALL, "channels": 8, "layer": "graph_network", "aggregation": "max"}),
    ("gnn", {**SMALL, "channels": 8, "layer": "gated"}),
    ("transformer", {**SMALL, "heads": 2}),
    ("transformer", {**SMALL, "heads": 2, "pooling": "mean", "residual": True, "feedforward": 24}),
    ("modular", {"width": 16, "message": 8, "messages": "bottom_up"}),
    ("modular", {"width": 16, "message": 8, "messages": "top_down"}),
    ("modular", {"width": 16, "message": 8, "messages": "both"}),
]
MLP = ("mlp", SMALL)
TYPES = ["root", "ankle", "hip", "lift", "turn"]


def randomized(policy, seed=0):
    """In float64, with weights drawn anew, so that none is small."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in policy.parameters():
        with torch.no_grad():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / max(1, parameter.shape[-1]) ** 0.5)
    return policy.double()


def seen(model, steps=5):
    """Observations of both bodies after some steps of random play."""
    env = model.get_env()
    obs = env.reset()
    for _ in range(steps):
        obs = env.step(np.random.default_rng(0).uniform(-1, 1, (4, *env.action_space.shape)))[0]
    return {key: torch.as_tensor(part) for key, part in obs.items()}


def renumbered(obs, order):
    """Node order[i] becomes node i."""
    place = torch.argsort(order)
    moved = {key: part[:, order] for key, part in obs.items() if key in ("nodes", "node_mask", "node_type", "actuated")}
    return {**obs, **moved, "edge_index": place[obs["edge_index"].long()]}


def padded(obs, nodes, edges, generator):
    """The same bodies with more padding, which holds anything."""
    more = {}
    for key, part in obs.items():
        axis = 2 if key == "edge_index" else 1
        size = (edges if key.startswith("edge") else nodes) - part.shape[axis]
        shape = [*part.shape]
        shape[axis] = size
        free = (
            torch.zeros(shape)
            if key.endswith("mask") or key == "actuated"
            else torch.randint(0, 3, shape, generator=generator)
        )
        more[key] = torch.cat([part, free.to(part.dtype)], dim=axis)
    return more
