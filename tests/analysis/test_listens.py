"""Laws of which node of a body listens to which, and of the picture of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import PROJECT
from PIL import Image
from torch.nn import functional as F

from agents import make_agent, save_policy
from agents.diagnostics import as_encoded
from agents.saved.policy import Policy
from analysis.cells import as_function
from analysis.saliency import listening
from envs import make_vec_env
from evaluate import evaluate
from playing.lipschitz import actor_of
from playing.listens import Listens, listening_of

pytest.importorskip("mujoco", reason="MuJoCo is not installed: pip install -e .[mujoco]")

from envs.bodies.picture import places
from envs.bodies.simulation import kind_named

BODY = "Centipede-4"
TESTED = {"train": [BODY, "Centipede-6"], "test": []}  # so that there is padding
SMALL = {"width": 16, "layers": 2}
GNN = ("gnn", {**SMALL, "channels": 8})
TRANSFORMER = ("transformer", {**SMALL, "heads": 2})
OTHERS = [
    ("mlp", SMALL),
    ("gnn", {**SMALL, "channels": 8, "layer": "gated"}),
    ("transformer", {**SMALL, "heads": 2, "pooling": "mean", "residual": True}),
]


def model_of(encoder, options, name="ppo"):
    """A model with weights drawn anew, so that none is small, and observations that it may meet."""
    env = make_vec_env("bodies", n_envs=2, seed=0, engine="gymnasium", kwargs=TESTED)
    sizes = {"n_steps": 16, **({"batch_size": 16} if name == "ppo" else {})}
    model = make_agent(env, encoder, name, encoder_options=options, seed=0, device="cpu", **sizes)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.policy.parameters():
        with torch.no_grad():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / max(1, parameter.shape[-1]) ** 0.5)
    met = [env.reset(), *(env.step(np.full((2, *env.action_space.shape), act))[0] for act in (0.5, -0.5, 0.1))]
    return model, {key: np.concatenate([each[key] for each in met]) for key in met[0]}


def measured(encoder, options, name="ppo"):
    model, states = model_of(encoder, options, name)
    return listening_of(Policy.of(model), {"id": "bodies", "kwargs": TESTED}, states)


def within(body, edges):
    """[i, j]: at most so many edges lead from j to i."""
    (sources, targets), _ = body.edges
    step = np.eye(body.nodes, dtype=int)
    step[targets, sources] = 1
    return np.linalg.matrix_power(step, edges) > 0


def test_of_a_linear_function_it_is_the_norms_of_its_weights():
    weights = torch.randn(3, 4, 5)  # outputs, nodes, numbers
    found = listening(lambda x: torch.einsum("onk,bnk->bo", weights, x), torch.randn(7, 4, 5), [2, 0])
    torch.testing.assert_close(found, weights[[2, 0]].norm(dim=2))


@pytest.mark.parametrize("layers", [1, 2])
def test_a_gnn_listens_to_nothing_farther_away_than_it_has_layers(layers):
    found = measured("gnn", {**GNN[1], "layers": layers})
    near = within(found.body, layers)[found.acting]
    assert (found.strength[~near] == 0).all() and (found.strength[near] > 0).mean() > 0.8
    assert (~near).any() and (found.strength[near & ~within(found.body, layers - 1)[found.acting]] > 0).any()


@pytest.mark.parametrize(("encoder", "options"), [GNN, TRANSFORMER])
def test_renumbering_the_nodes_permutes_the_matrix(encoder, options):
    model, states = model_of(encoder, options)
    network = actor_of(Policy.of(model))[1].double()
    obs = {key: torch.as_tensor(part).double() for key, part in states.items()}
    nodes = obs["nodes"].shape[1]
    order = torch.randperm(nodes, generator=torch.Generator().manual_seed(0))  # node order[i] becomes node i
    moved = {key: obs[key][:, order] for key in ("nodes", "node_mask", "node_type", "actuated")}
    moved = {**obs, **moved, "edge_index": torch.argsort(order)[obs["edge_index"].long()]}
    here, there = (listening(*as_function(network, each), range(nodes)) for each in (obs, moved))
    torch.testing.assert_close(there, here[order][:, order], rtol=1e-9, atol=1e-12)
    assert here.max() > 0.01 and not torch.allclose(there, here)


@pytest.mark.parametrize("pooling", ["class", "mean"])
def test_attention_sums_to_one_over_the_nodes_and_padding_gets_none(pooling):
    options = {**TRANSFORMER[1], "pooling": pooling}
    found = measured("transformer", options)
    assert found.attention.shape == (2, len(found.acting), found.body.nodes + (pooling == "class"))
    np.testing.assert_allclose(found.attention.sum(2), 1, atol=1e-6)  # so nothing is left for padding
    model, states = model_of("transformer", options)
    weights = model.policy.features_extractor.weights(as_encoded(Policy.of(model), states))[::2]  # of the smaller body
    padding = np.flatnonzero(states["node_mask"][0] == 0) - states["nodes"].shape[1]
    assert len(padding) and (weights[..., padding] == 0).all()


@pytest.mark.parametrize("residual", [False, True])
def test_the_weights_that_are_read_are_those_that_the_encoder_computes_with(residual, monkeypatch):
    model, states = model_of("transformer", {**TRANSFORMER[1], "residual": residual})
    encoder, obs = model.policy.features_extractor, as_encoded(Policy.of(model), states)
    own, read = encoder(obs), iter(encoder.weights(obs).unbind(1))
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda query, key, value, attn_mask: next(read) @ value)
    torch.testing.assert_close(encoder(obs), own, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("encoder", "options"), [GNN, TRANSFORMER, *OTHERS])
@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_every_policy_of_bodies_is_measured(encoder, options, name):
    found = measured(encoder, options, name)
    assert found.name == BODY and found.acting == [*range(1, found.body.nodes)]
    np.testing.assert_allclose(found.shares.sum(1), 1, rtol=1e-5)
    assert (found.attention is not None) == (encoder == "transformer")
    assert found.states == 4  # of the first of the two bodies


def test_the_lines_name_the_three_nodes_that_a_node_listens_to_most():
    body = kind_named("Snake-3").body
    strength = np.array([[1, 5, 3, 1.0], [0, 0, 2, 0], [0, 0, 0, 0]])
    lines = Listens(body, "Snake-3", [1, 2, 3], strength, None, 1).lines().splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines] == [
        "bend_1 50%, bend_2 30%, root 10%",
        "bend_2 100%",
        "nothing",
    ]


def test_the_command_draws_it_and_says_it(capsys):
    model, _ = model_of(*TRANSFORMER)
    save_policy(model, "policy", environment={"id": "bodies", "kwargs": TESTED})
    played = {"episodes": 1, "output": "scores.json", "listens": "listens.png"}
    evaluate(policy="policy", env={"name": "Centipede-4", "kwargs": {"max_episode_steps": 20}}, **played)
    said = capsys.readouterr().out.partition("listens: listens.png, Centipede-4 in ")[2]
    assert said.count("\n") == 1 + 10 and said.splitlines()[1].startswith("  hip_left_0 ")
    with Image.open("listens.png") as picture:
        assert picture.size[0] > 1000 and len(picture.getcolors(10**6)) > 50


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"listens": "listens.png"}, r"listens= needs a policy of bodies, as of env=bodies; this one reads Box\("),
        ({"listens": "listens.jpg"}, r"listens is the name of a \.png file; got listens.jpg"),
        ({"listens": "nowhere/listens.png"}, "there is no folder nowhere"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_anything_is_played(options, message, capsys):
    with pytest.raises(ValueError, match=message):
        evaluate(policy=str(PROJECT / "pretrained" / "CartPole-homomorphic"), **options)
    assert not capsys.readouterr().out


def test_a_body_that_was_not_met_is_refused():
    model, states = model_of(*GNN)
    states = {key: part[::2] for key, part in states.items()}  # of the smaller body
    with pytest.raises(ValueError, match="no state of it was met; play more episodes="):
        listening_of(Policy.of(model), {"id": "bodies", "kwargs": {**TESTED, "train": ["Centipede-6"]}}, states)


@pytest.mark.parametrize("name", ["Centipede-8", "Walker-7", "Snake-8", "Humanoid-2d-9", "Ant-4"])
def test_no_nodes_hide_each_other_in_a_picture(name):
    placed, _ = places(kind_named(name).body)
    apart = np.linalg.norm(placed[:, None] - placed[None], axis=2) + np.eye(len(placed)) * 9
    assert apart.min() > 0.03 * np.ptp(placed, axis=0).max()
