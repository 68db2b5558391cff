"""Saliency is the gradient, occlusion changes what can be seen, relations and generated weights are the layers' own."""

from __future__ import annotations

import pytest
import torch
from test_deconvolution import policy_of
from torch import nn
from torch.nn import functional as F

from analysis.cells import as_function
from analysis.saliency import (
    generated_weights,
    gradient,
    occlusion,
    relation_importances,
    relations_of,
    squares,
    without_relations,
)
from encoders.layers.graph import Graph
from encoders.layers.relational import RGCN, GridRGCN


def test_saliency_is_what_finite_differences_of_a_smooth_function_give():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 20), nn.Tanh(), nn.Linear(20, 1), nn.Flatten(0)).double()
    x, step = torch.randn(5, 6).double(), 1e-5
    moved = torch.eye(6).double() * step
    with torch.no_grad():
        differences = torch.stack([(network(x + each) - network(x - each)) / (2 * step) for each in moved], dim=1)
    torch.testing.assert_close(gradient(network, x), differences, rtol=1e-6, atol=1e-9)
    assert torch.equal(gradient(lambda x: torch.ones(len(x)), x), torch.zeros_like(x))


@pytest.mark.parametrize("encoder", ["cnn", "gnn", "transformer"])
def test_occlusion_of_a_cell_that_the_network_cannot_see_changes_nothing(encoder):
    network, observations = policy_of(encoder, {})
    function, x = as_function(network, observations)
    seen = torch.ones(x.shape[1:3], dtype=bool)
    seen[2, 3] = False

    def blind(cells):
        return function(cells * seen[..., None])[:, 0]

    changes = occlusion(blind, x, squares(x.shape[1:3]), torch.zeros(()))
    hidden = 2 * x.shape[2] + 3
    assert (changes[:, hidden] == 0).all() and (changes != 0).any(0).sum() > 10
    same = occlusion(blind, x, squares(x.shape[1:3])[:1], x)
    assert (same == 0).all(), "a cell replaced by itself"


def test_occlusion_of_a_linear_function_is_its_weight_times_what_was_replaced():
    weight, x = torch.tensor([2.0, -3.0, 0.0]), torch.tensor([[1.0, 4.0, 9.0]])
    changes = occlusion(lambda x: x @ weight, x, torch.eye(3).bool(), torch.full((3,), 0.5))
    assert changes.tolist() == [[2 * 0.5, -3 * 3.5, 0.0]]


def test_squares_cover_every_cell_once():
    for size, side in (((7, 7), 1), ((10, 7), 4)):
        masks = squares(size, side)
        assert torch.equal(masks.sum(0), torch.ones(size, dtype=torch.long))
        assert masks.flatten(1).sum(1).max() == side**2


@pytest.mark.parametrize("bases", [None, 2])
@pytest.mark.parametrize("aggregation", ["mean", "max"])
def test_without_any_relation_a_layer_is_its_self_loop_and_without_one_it_is_a_layer_of_the_others(aggregation, bases):
    torch.manual_seed(0)
    layer = GridRGCN(3, 4, (4, 5), "b3", aggregation, bases)
    h = torch.randn(2, 4, 5, 3)
    weights = layer.weights().detach()
    with torch.no_grad():
        before = layer(h)
        with without_relations(layer, range(len(layer.relations))):
            torch.testing.assert_close(layer(h), F.linear(h, weights[0], layer.bias))
        kept = [name for name in layer.relations if name != "aligned"]
        others = GridRGCN(3, 4, (4, 5), kept, aggregation)
        others.weight.copy_(torch.stack([weights[0], *(weights[1 + layer.relations.index(name)] for name in kept)]))
        others.bias.copy_(layer.bias)
        with without_relations(layer, [layer.relations.index("aligned")]):
            torch.testing.assert_close(layer(h), others(h))
        assert torch.equal(layer(h), before) and (before - others(h)).abs().max() > 0.01


def test_a_relation_without_edges_has_no_importance_and_an_explicit_graph_has_its_types():
    torch.manual_seed(0)

    class Nodes(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = RGCN(2, 3, 3)

        def forward(self, obs):
            return self.layer(obs["nodes"], Graph(obs, 4, 3))

    obs = {
        "nodes": torch.randn(1, 4, 2),
        "edge_index": torch.tensor([[[0, 1, 2], [1, 2, 3]]]),
        "edge_type": torch.tensor([[0, 0, 2]]),
    }
    network = Nodes()
    found = relation_importances(network, obs, lambda with_it, without: (with_it - without).flatten(1).norm(dim=1))
    assert relations_of(network) == ("type 0", "type 1", "type 2")
    assert found[1] == 0 and found[0] > 0 and found[2] > 0


@pytest.mark.parametrize("env_id", ["DoorKey-5x5", "CartPole"])
def test_generated_weights_are_those_that_the_layers_apply(env_id):
    network, observations = policy_of("hypernetwork", {}, env_id)
    applied = []
    hook = network.x.register_forward_hook(lambda *_: applied.append(_[2]))
    features = network(observations)
    hook.remove()
    x = applied[0]
    for weights in generated_weights(network, observations):
        x = torch.einsum("boi,bi->bo", weights, F.pad(x, (0, 1), value=1.0)).relu()
    torch.testing.assert_close(x, features, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (relations_of, "no relations in this network; encoder=gnn with encoder.layer=rgcn has them"),
        (lambda network: generated_weights(network, None), "encoder=hypernetwork with encoder.multiplicative=hyper or"),
    ],
)
def test_a_network_without_such_layers_is_told_which_encoders_have_them(function, message):
    network, _ = policy_of("mlp", {})
    with pytest.raises(ValueError, match=message):
        function(network)
