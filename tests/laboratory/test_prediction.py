"""Laws of parameter prediction: of the recorded graph, of the hypernetwork, of its training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch.func import functional_call

from laboratory.prediction.graph import Graph, graph_of, shaped
from laboratory.prediction.lessons import Course, Lessons
from laboratory.prediction.network import GraphHypernetwork
from laboratory.prediction.train import loss_of, pool, practise, predicted, train

ACTIONS, STATES = 5, 7
SPACE = spaces.Dict(
    {
        "image": spaces.Box(0, 10, (6, 6, 3), np.uint8),
        "direction": spaces.Box(0, 3, (1,), np.uint8),
        "carrying": spaces.Box(0, 10, (2,), np.uint8),
    }
)


@pytest.fixture(scope="module")
def course():
    """States at random, with probabilities at random: what the laws hold for anyway."""
    SPACE.seed(0)
    states = [SPACE.sample() for _ in range(STATES)]
    observations = {key: torch.tensor(np.stack([state[key] for state in states])).float() for key in SPACE}
    probabilities = torch.rand(STATES, ACTIONS, generator=torch.Generator().manual_seed(0)).softmax(1)
    return Course(Lessons(observations, probabilities), SPACE, ACTIONS)


@pytest.fixture(scope="module")
def variants(course):
    return pool(course, 24, seed=0)


@pytest.fixture(scope="module")
def network(variants):
    torch.manual_seed(0)
    return GraphHypernetwork([graph for _, graph in variants])


def renamed(graph: Graph, order: list[int]) -> Graph:
    """The same graph with its nodes listed in another order."""
    place = {before: after for after, before in enumerate(order)}
    return Graph(tuple(graph.nodes[i] for i in order), frozenset((place[a], place[b]) for a, b in graph.edges))


def test_every_parameter_of_a_variant_is_predicted_once_and_in_its_shape(variants, network):
    for policy, graph in variants:
        shapes = {name: parameter.shape for name, parameter in policy.named_parameters()}
        assert {name: tensor.shape for name, tensor in predicted(network, graph).items()} == shapes
        assert sorted(node.parameter for node in graph.nodes if node.parameter) == sorted(shapes)


def test_data_flows_from_every_observation_through_all_operations_to_the_head(variants):
    for _, graph in variants:
        distances = graph.distances
        (last,) = [i for i, node in enumerate(graph.nodes) if node.parameter == "head.bias"]
        assert np.isfinite(distances[:, last]).all()
        assert not np.isfinite(distances[last, :last]).any()
        starts = [node.kind for node, depth in zip(graph.nodes, graph.depths, strict=True) if depth == 0]
        assert sorted(starts) == ["observation.carrying", "observation.direction", "observation.image"]


def test_options_are_seen_in_the_graph(variants):
    for policy, graph in variants:
        kinds = [node.kind for node in graph.nodes]
        convolutions = policy.options["layers"] if policy.options["encoder"] == "cnn" else 0
        assert kinds.count("conv2d.weight") == convolutions
        assert ("group_norm.weight" in kinds) == (policy.options["normalization"] == "layer")
        assert ("tanh" in kinds) == (policy.options.get("activation") == "tanh")
        assert ("amax" in kinds) == (policy.options.get("pooling") == "max")


def test_the_order_in_which_nodes_are_listed_changes_no_prediction(variants, network):
    torch.manual_seed(1)
    exact = network.double()
    for _, graph in variants[:4]:
        order = torch.randperm(len(graph.nodes)).tolist()
        again = predicted(exact, renamed(graph, order))
        other = predicted(exact, Graph(graph.nodes, frozenset(sorted(graph.edges)[1:])))
        pairs = [(tensor, again[name], other[name]) for name, tensor in predicted(exact, graph).items()]
        assert max(float((one - two).abs().max()) for one, two, _ in pairs) < 1e-12
        assert max(float((one - two).abs().max()) for one, _, two in pairs) > 1e-6  # one edge less is another graph
    network.float()


def test_graphs_that_are_read_together_are_read_as_alone(variants, network):
    graphs = [graph for _, graph in variants[:3]]
    with torch.no_grad():
        together = network(graphs)
    for graph, made in zip(graphs, together, strict=True):
        for name, tensor in predicted(network, graph).items():
            torch.testing.assert_close(made[name], tensor, rtol=1e-4, atol=1e-5)


def test_a_kernel_over_the_cells_of_a_map_is_the_linear_layer_that_reads_the_map_flattened(course, variants):
    """W[o, c, x, y] weighs channel c of the cell (x, y), whether the encoder has its channels last or first."""
    for wanted in ("mlp", "cnn"):
        policy, graph = next(
            (policy, graph)
            for policy, graph in variants
            if policy.options["encoder"] == wanted and policy.options.get("pooling", "flatten") == "flatten"
        )
        (node,) = [node for node in graph.nodes if node.kind == "linear.weight" and node.extents[2] > 1]
        outputs, channels, x, y = node.extents
        layer = policy.get_submodule(node.parameter.removesuffix(".weight"))
        cells = torch.randn(1, channels, x, y)
        flat = (cells.permute(0, 2, 3, 1) if wanted == "mlp" else cells).flatten(1)
        kernel = torch.randn(outputs, channels, x, y)
        expected = torch.nn.functional.conv2d(cells, kernel).flatten(1)
        assert layer.weight.shape == node.shape
        torch.testing.assert_close(flat @ shaped(node, kernel).T, expected, rtol=1e-4, atol=1e-4)


def test_gradients_reach_every_part_of_the_hypernetwork(course, variants):
    torch.manual_seed(0)
    network = GraphHypernetwork([graph for _, graph in variants])
    made = network([graph for _, graph in variants[:8]])
    losses = [loss_of(policy, own, course.training) for (policy, _), own in zip(variants, made, strict=False)]
    torch.stack(losses).sum().backward()
    assert [name for name, each in network.named_parameters() if each.grad is None or not each.grad.any()] == []
    assert all(parameter.grad is None for policy, _ in variants for parameter in policy.parameters())


def test_a_policy_computes_the_same_with_its_own_parameters_given_from_outside(course, variants, network):
    for policy, graph in variants[:6]:
        observations = course.training.observations
        own = dict(policy.named_parameters())
        assert torch.equal(functional_call(policy, own, (observations,)), policy(observations))
        other = functional_call(policy, predicted(network, graph), (observations,))
        assert not torch.allclose(other, policy(observations))


def test_the_same_seed_trains_the_same_hypernetwork_and_another_seed_another(course, variants):
    first, again, other = (train(course, variants, seed, steps=2) for seed in (3, 3, 4))
    graph = variants[0][1]
    for name, tensor in predicted(first, graph).items():
        assert torch.equal(tensor, predicted(again, graph)[name])
    assert not torch.equal(predicted(first, graph)["head.weight"], predicted(other, graph)["head.weight"])


def test_imitation_learns(course, variants):
    policy = variants[0][0].anew()
    before = loss_of(policy, dict(policy.named_parameters()), course.training)
    practise(policy, course, seed=0, steps=30)
    assert loss_of(policy, dict(policy.named_parameters()), course.training) < before


def test_variants_are_different_and_none_of_those_left_out(course, variants):
    known = [policy.options for policy, _ in variants]
    others = [policy.options for policy, _ in pool(course, 24, seed=0, without=known[::2])]
    assert all(known.count(options) == 1 for options in known)
    assert not [options for options in others if options in known[::2]]


def test_a_parameter_that_the_module_does_not_use_is_named(course, variants):
    policy = variants[0][0].anew()
    policy.spare = torch.nn.Parameter(torch.zeros(3))
    with pytest.raises(ValueError, match="does not use its parameters spare"):
        graph_of(policy, course.training.observations)


def test_an_operation_that_the_hypernetwork_was_not_made_for_is_named(variants):
    known = [graph for policy, graph in variants if policy.options["encoder"] == "mlp"]
    other = next(graph for policy, graph in variants if policy.options["encoder"] == "cnn")
    with pytest.raises(ValueError, match=r"this one has .*conv2d.weight"):
        predicted(GraphHypernetwork(known), other)
