"""Laws of `modular`: messages go once along each tree, up, down or both ways, however many trees share a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch.nn import functional as F

from encoders.layers.graph import Graph
from encoders.layers.tree import Tree
from encoders.modular import Modular
from encoders.nodes import one_hot_types

MESSAGES = ("bottom_up", "top_down", "both")
NODES, EDGES, FEATURES, RELATIONS, TYPES = 9, 24, 5, 3, 4
SPACE = spaces.Dict(
    {
        "nodes": spaces.Box(-10, 10, (NODES, FEATURES), np.float32),
        "edge_index": spaces.Box(0, NODES - 1, (2, EDGES), np.int16),
        "edge_type": spaces.Box(0, RELATIONS - 1, (EDGES,), np.int16),
        "node_mask": spaces.Box(0, 1, (NODES,), np.int8),
        "edge_mask": spaces.Box(0, 1, (EDGES,), np.int8),
        "node_type": spaces.Box(0, TYPES - 1, (NODES,), np.int16),
        "actuated": spaces.Box(0, 1, (NODES,), np.int8),
    }
)
CHAIN, STAR, ALONE = [None, 0, 1, 2, 3, 4, 5, 6, 7], [None, 0, 0, 0, 0], [None]


def random_trees(count, seed=0):
    """The parent of every node; a node may come before its parent."""
    rng = np.random.default_rng(seed)
    trees = []
    for _ in range(count):
        size = int(rng.integers(2, NODES + 1))
        names = rng.permutation(size)
        tree = [None] * size
        for node in range(1, size):
            tree[names[node]] = int(names[rng.integers(node)])
        trees.append(tree)
    return trees


TREES = [CHAIN, STAR, ALONE, *random_trees(8)]


def observed(trees, seed=0):
    """Observations of bodies with these trees: their edges in any order, and padding that holds anything."""
    rng = np.random.default_rng(seed)
    SPACE.seed(seed)
    obs = {key: np.stack([space.sample() for _ in trees]) for key, space in SPACE.spaces.items()}
    obs["nodes"] = rng.normal(size=obs["nodes"].shape)
    for sample, tree in enumerate(trees):
        joints = [node for node, parent in enumerate(tree) if parent is not None]
        root = tree.index(None)
        edges = [(tree[node], node, 0) for node in joints] + [(node, tree[node], 1) for node in joints]
        edges += [(root, node, 2) for node in joints]
        places = rng.permutation(EDGES)[: len(edges)]
        obs["edge_mask"][sample] = obs["node_mask"][sample] = 0
        obs["node_mask"][sample, : len(tree)] = obs["edge_mask"][sample, places] = 1
        for place, (source, target, kind) in zip(places, edges, strict=True):
            obs["edge_index"][sample, :, place], obs["edge_type"][sample, place] = (source, target), kind
        obs["actuated"][sample] = [node in joints for node in range(NODES)]
    return {key: torch.as_tensor(part, dtype=torch.float64) for key, part in obs.items()}


def built(messages, **options):
    torch.manual_seed(0)
    return Modular(SPACE, **{"width": 12, "message": 6, "messages": messages, **options}).double()


def states_of(encoder, obs):
    return encoder.per_node.split(encoder(obs))[1]


def recursive(encoder, tokens, tree):
    """The states of one body, by the definition: whoever is asked what it says first asks those whom it hears."""

    def says(speak, *heard):
        return F.normalize(speak(torch.cat(heard)), dim=0)

    def from_children(node):
        heard = torch.zeros(6, dtype=torch.float64)
        for child, parent in enumerate(tree):
            if parent == node:
                heard = heard + says(encoder.up, tokens[child], from_children(child))
        return heard

    def known(node):
        return [tokens[node]] if encoder.up is None else [tokens[node], from_children(node)]

    def from_parent(node):
        if tree[node] is None:
            return torch.zeros(6, dtype=torch.float64)
        return says(encoder.down, *known(tree[node]), from_parent(tree[node]))

    def state(node):
        return encoder.state(torch.cat(known(node) if encoder.down is None else [*known(node), from_parent(node)]))

    return torch.stack([state(node) for node in range(len(tree))])


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("messages", MESSAGES)
def test_all_trees_at_once_equal_each_by_the_recursive_definition(messages, layers):
    encoder, obs = built(messages, layers=layers), observed(TREES)
    states = states_of(encoder, obs)
    tokens = encoder.read(obs["nodes"], one_hot_types(obs, TYPES)).tanh()
    for sample, tree in enumerate(TREES):
        wanted = recursive(encoder, tokens[sample], tree)
        torch.testing.assert_close(states[sample, : len(tree)], wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("messages", MESSAGES)
def test_gradients_are_those_of_the_recursive_definition(messages):
    encoder, obs = built(messages), observed(TREES)
    weights = [torch.randn(len(tree), 12, dtype=torch.float64) for tree in TREES]
    states = states_of(encoder, obs)
    total = sum((states[sample, : len(tree)] * weights[sample]).sum() for sample, tree in enumerate(TREES))
    tokens = encoder.read(obs["nodes"], one_hot_types(obs, TYPES)).tanh()
    wanted = sum((recursive(encoder, tokens[s], tree) * weights[s]).sum() for s, tree in enumerate(TREES))
    parameters = [parameter for name, parameter in encoder.named_parameters() if not name.startswith("out")]
    for found, right in zip(
        torch.autograd.grad(total, parameters), torch.autograd.grad(wanted, parameters), strict=True
    ):
        torch.testing.assert_close(found, right, rtol=0, atol=1e-10)


def reached(encoder, tree):
    """(nodes, nodes): whether the state of a node (row) depends on what another one (column) feels."""
    obs = observed([tree])
    obs["nodes"].requires_grad_()
    states = states_of(encoder, obs)
    rows = [torch.autograd.grad(states[0, node].sum(), obs["nodes"], retain_graph=True)[0] for node in range(len(tree))]
    return torch.stack([row[0].abs().sum(1) > 0 for row in rows])[:, : len(tree)]


def is_below(tree):
    """(nodes, nodes): whether a node (row) is another (column), or hangs on it by any number of edges."""
    below = torch.eye(len(tree), dtype=torch.bool)
    for node in range(len(tree)):
        above = tree[node]
        while above is not None:
            below[node, above] = True
            above = tree[above]
    return below


@pytest.mark.parametrize("tree", TREES)
def test_bottom_up_a_state_depends_on_the_subtree_below_it_and_on_nothing_else(tree):
    assert torch.equal(reached(built("bottom_up"), tree), is_below(tree).T)


@pytest.mark.parametrize("tree", TREES)
def test_top_down_a_state_depends_on_the_nodes_on_its_way_to_the_root_and_on_nothing_else(tree):
    assert torch.equal(reached(built("top_down"), tree), is_below(tree))


@pytest.mark.parametrize("tree", TREES)
def test_both_ways_every_node_reaches_every_other(tree):
    assert reached(built("both"), tree).all()


@pytest.mark.parametrize(("messages", "up", "down"), [("bottom_up", 1, 0), ("top_down", 0, 1), ("both", 1, 1)])
def test_a_change_at_a_leaf_reaches_the_root_upwards_and_a_change_at_the_root_the_leaf_downwards(messages, up, down):
    encoder, obs = built(messages), observed([CHAIN])
    before = states_of(encoder, obs)[0]
    for changed, told, arrives in ((8, 0, up), (0, 8, down)):
        other = {**obs, "nodes": obs["nodes"].clone()}
        other["nodes"][0, changed] += 1
        after = states_of(encoder, other)[0]
        assert not torch.equal(after[changed], before[changed])
        assert torch.equal(after[told], before[told]) != arrives


@pytest.mark.parametrize("tree", TREES)
def test_the_depth_is_that_of_the_deepest_node(tree):
    assert Tree(Graph(observed([tree]), NODES, RELATIONS)).depth == max(1, int(is_below(tree).sum(1).max()) - 1)


@pytest.mark.parametrize("messages", MESSAGES)
def test_more_rounds_than_the_trees_are_deep_change_nothing(messages, monkeypatch):
    """A traced computation does not know how deep the trees will be."""
    encoder, obs = built(messages), observed([STAR, ALONE, *random_trees(3)])
    own = encoder(obs)
    monkeypatch.setattr("encoders.layers.tree.traced", lambda tensor: True)
    assert Tree(Graph(obs, NODES, RELATIONS)).depth == NODES - 1
    torch.testing.assert_close(encoder(obs), own, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("edge", "message"),
    [((0, 2), "node 2 of sample 1 has several parents"), ((2, 0), "node . of sample 1 are a circle")],
)
def test_what_is_no_tree_is_refused(edge, message):
    obs = observed([STAR, [None, 0, 1]])
    free = int((obs["edge_mask"][1] == 0).nonzero()[0])
    obs["edge_index"][1, :, free], obs["edge_type"][1, free] = torch.tensor(edge, dtype=torch.float64), 0
    obs["edge_mask"][1, free] = 1
    with pytest.raises(ValueError, match=message):
        built("both")(obs)


def test_messages_neither_grow_nor_fade_along_a_chain():
    encoder, said = built("both"), []
    with torch.no_grad():
        for parameter in encoder.down.parameters():
            parameter.mul_(100)
    tree = Tree(Graph(observed([CHAIN]), NODES, RELATIONS))
    of_parent = tree.of_parent
    tree.of_parent = lambda messages: said.append(messages.norm(dim=2)) or of_parent(messages)
    encoder.states(torch.randn(1, NODES, 12, dtype=torch.float64), tree)
    assert len(said) == NODES - 1
    torch.testing.assert_close(torch.stack(said), torch.ones(NODES - 1, 1, NODES, dtype=torch.float64))


def test_unknown_options_are_refused():
    for options, message in [
        ({"messages": "sideways"}, r"encoder\.messages is bottom_up, top_down or both"),
        ({"message": 0}, r"encoder\.message is a whole number"),
        ({"layers": 0}, r"encoder\.layers is a whole number"),
    ]:
        with pytest.raises(ValueError, match=message):
            Modular(SPACE, **options)
