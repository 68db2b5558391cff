"""Laws of the graph encoder: each structured form equals its definition, on grids and on observed graphs."""

from __future__ import annotations

import copy
from itertools import product

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.env_util import make_vec_env as vectorized
from stable_baselines3.common.preprocessing import preprocess_obs
from torch._subclasses.fake_tensor import FakeTensorMode

from agents import load_policy, make_agent, save_policy
from encoders.base import kind_of
from encoders.gnn import GNN, LAYERS
from encoders.layers.gcn import GCN
from encoders.layers.graph import Graph
from encoders.layers.graph_network import GraphNetwork
from encoders.layers.pooling import POOLINGS, Pooling
from encoders.layers.relational import RGCN, GridRGCN
from encoders.layers.relations import RELATION_SETS, RELATIONS, grid_edges, neighbours
from encoders.layers.topology import AGGREGATIONS, OFFSETS, GridGraph
from encoders.mlp import MLP
from envs import make_vec_env
from train import train

few = settings(max_examples=25, deadline=None)
grids = st.tuples(st.integers(1, 6), st.integers(1, 6))
aggregations = st.sampled_from(AGGREGATIONS)
seeds = st.integers(0, 2**31)


def normal(*shape: int, **options) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, **options)


def randomized(module: torch.nn.Module) -> torch.nn.Module:
    """In float64, with every parameter drawn anew: a bias of zero would hide."""
    for parameter in module.double().parameters():
        torch.nn.init.normal_(parameter)
    return module


def assert_same(module: torch.nn.Module, inputs: list[torch.Tensor], mine, theirs) -> None:
    """The same values, and gradients to inputs and parameters, and another value once a parameter has changed."""
    leaves = [*inputs, *module.parameters()]
    for leaf in inputs:
        leaf.requires_grad_()
    outputs = [form() for form in (mine, theirs)]
    weights = torch.randn_like(outputs[0])
    assert (outputs[0] - outputs[1]).abs().max() < 1e-10
    for one, other in zip(*(torch.autograd.grad((out * weights).sum(), leaves) for out in outputs), strict=True):
        assert (one - other).abs().max() < 1e-10
    expected = theirs().detach()
    for parameter in module.parameters():
        with torch.no_grad():
            parameter += 0.1
            changed = (mine() - expected).abs().max()
            parameter -= 0.1
        assert changed > 1e-4


# ---- R-GCN


def dense_rgcn(layer: GridRGCN, h: torch.Tensor) -> torch.Tensor:
    """W₀h_i + Σ_r W_r agg_{j ∈ N_r(i)} h_j + b, cell by cell."""
    nodes, weights = h.flatten(1, 2), layer.weights()
    out = nodes @ weights[0].T + layer.bias
    for relation, matrix in zip(layer.relations, weights[1:], strict=True):
        adjacency = neighbours(relation, *h.shape[1:3])
        received = [
            torch.zeros_like(nodes[:, 0]) if not row.any() else aggregate(nodes[:, row], layer.aggregation)
            for row in adjacency
        ]
        out = out + torch.stack(received, dim=1) @ matrix.T
    return out.unflatten(1, h.shape[1:3])


def aggregate(values: torch.Tensor, how: str) -> torch.Tensor:
    return {"mean": values.mean, "sum": values.sum, "max": values.amax}[how](1)


relation_lists = st.one_of(
    st.sampled_from(list(RELATION_SETS)), st.lists(st.sampled_from(RELATIONS), min_size=1, max_size=4, unique=True)
)


@few
@given(grids, relation_lists, aggregations, st.sampled_from([None, 1, 3]), seeds)
def test_the_structured_r_gcn_equals_its_definition(grid, relations, aggregation, bases, seed):
    torch.manual_seed(seed)
    layer = randomized(GridRGCN(3, 2, grid, relations, aggregation, bases))
    h = normal(2, *grid, 3)
    if grid == (1, 1):  # nobody is there to be heard
        expected = h @ layer.weight[0].T + layer.bias
        assert (layer(h) - expected).abs().max() < 1e-10
        return
    leaves = [h.requires_grad_(), *layer.parameters()]
    weights = normal(2, *grid, 2)
    mine, theirs = layer(h), dense_rgcn(layer, h)
    assert (mine - theirs).abs().max() < 1e-10
    gradients = (torch.autograd.grad((out * weights).sum(), leaves) for out in (mine, theirs))
    for one, other in zip(*gradients, strict=True):
        assert (one - other).abs().max() < 1e-10


@pytest.mark.parametrize(("relation", "aggregation"), product(RELATIONS, AGGREGATIONS))
def test_each_relation_alone_equals_its_definition_and_another_matrix_does_not(relation, aggregation):
    layer, h = randomized(GridRGCN(3, 2, (4, 5), [relation], aggregation)), normal(2, 4, 5, 3)
    assert_same(layer, [h], lambda: layer(h), lambda: dense_rgcn(layer, h))


def test_maxima_that_several_cells_share_are_found():
    torch.manual_seed(0)
    layer, h = randomized(GridRGCN(3, 2, (4, 5), "all", "max")), normal(2, 4, 5, 3).round().relu()
    assert (layer(h) - dense_rgcn(layer, h)).abs().max() < 1e-10


def test_all_contains_b3_contains_local():
    local, b3, every = (set(RELATION_SETS[name]) for name in ("local", "b3", "all"))
    assert local < b3 < every == set(RELATIONS) and len(b3) == 14


def test_the_matrices_of_bases_are_their_combinations_and_that_of_the_node_itself_is_free():
    layer = randomized(GridRGCN(3, 2, (7, 7), "b3", bases=4))
    assert layer.weight.shape == (5, 2, 3) and layer.coefficients.shape == (14, 4)
    weights = layer.weights()
    assert torch.equal(weights[0], layer.weight[0])
    for r in range(14):
        combined = sum(layer.coefficients[r, b] * layer.weight[1 + b] for b in range(4))
        assert (weights[1 + r] - combined).abs().max() < 1e-12
    torch.manual_seed(0)  # and they begin as large as matrices of their own would
    shared, own = GridRGCN(64, 64, (7, 7), "b3", bases=8).weights()[1:], GridRGCN(64, 64, (7, 7), "b3").weights()[1:]
    assert 0.7 < shared.std() / own.std() < 1.4


# ---- GCN and graph network


def adjacent(width: int, height: int, number: int) -> list[tuple[int, int, int]]:
    """(source, target, type) of every edge of the grid's neighbourhood."""
    cells = {(x, y): x * height + y for x in range(width) for y in range(height)}
    return [
        (cells[x + dx, y + dy], target, kind)
        for (x, y), target in cells.items()
        for kind, (dx, dy) in enumerate(list(OFFSETS.values())[:number])
        if (x + dx, y + dy) in cells
    ]


def dense_gcn(layer: GCN, h: torch.Tensor, edges: list[tuple[int, int, int]]) -> torch.Tensor:
    """D̃^-½ Ã D̃^-½ H Wᵀ + b."""
    joined = torch.eye(h.shape[1], dtype=h.dtype)
    for source, target, _ in edges:
        joined[target, source] += 1
    scale = joined.sum(1).diag().inverse().sqrt()
    return scale @ joined @ scale @ h @ layer.linear.weight.T + layer.linear.bias


def explicit_network(block: GraphNetwork, nodes, edges, whole, joined: list[tuple[int, int, int]]):
    """Algorithm 1 of Battaglia et al. 2018, in its own words, for one sample; `edges` in the order of `joined`."""
    how = block.aggregation
    updated = [
        block.edge(torch.cat([edges[k], nodes[source], nodes[target], whole])).relu()
        for k, (source, target, _) in enumerate(joined)
    ]
    zero = torch.zeros_like(whole)

    def gather(values):
        return aggregate(torch.stack(values)[None], how)[0] if values else zero

    arriving = [
        gather([e for e, (_, to, _) in zip(updated, joined, strict=True) if to == i]) for i in range(len(nodes))
    ]
    after = [block.node(torch.cat([arriving[i], nodes[i], whole])).relu() for i in range(len(nodes))]
    return torch.stack(after), block.whole(torch.cat([gather(updated), gather(after), whole])).relu()


def observed(edges: list[tuple[int, int, int]], nodes: int, types: int, batch: int = 1, spare: int = 0) -> Graph:
    """These edges as an observation, with `spare` more that are padding and hold rubbish."""
    numbers = torch.tensor([*edges, *[(-5, 99, 77)] * spare]).reshape(-1, 3).T.expand(batch, 3, -1)
    mask = torch.cat([torch.ones(len(edges)), torch.zeros(spare)]).expand(batch, -1)
    obs = {"edge_index": numbers[:, :2].float(), "edge_type": numbers[:, 2].float(), "edge_mask": mask}
    return Graph(obs, nodes, types)


@few
@given(grids, st.sampled_from([4, 8]), seeds)
def test_gcn_equals_its_definition_on_grids_and_on_explicit_graphs(grid, number, seed):
    torch.manual_seed(seed)
    layer, cells = randomized(GCN(3, 2)), grid[0] * grid[1]
    h, edges = normal(2, cells, 3), adjacent(*grid, number)
    for graph in (GridGraph(*grid, number), observed(edges, cells, number, batch=2, spare=2)):
        assert_same(layer, [h], lambda graph=graph: layer(h, graph), lambda: dense_gcn(layer, h, edges))


@few
@given(grids, st.sampled_from([4, 8]), aggregations, seeds)
def test_a_graph_network_equals_its_definition_on_grids_and_on_explicit_graphs(grid, number, aggregation, seed):
    torch.manual_seed(seed)
    block, cells, joined = GraphNetwork(3, aggregation).double(), grid[0] * grid[1], adjacent(*grid, number)
    table, nodes, whole = normal(number, 3), normal(1, cells, 3), normal(1, 3)

    def definition():
        edges = [table[kind] for _, _, kind in joined]
        after, context = explicit_network(block, nodes[0], edges, whole[0], joined)
        return torch.cat([after, context[None]])

    for graph in (GridGraph(*grid, number), observed(joined, cells, number, spare=2)):

        def mine(graph=graph):
            after, _, context = block(nodes, table[graph.types], whole, graph)
            return torch.cat([after[0], context])

        if joined:
            outputs = [mine(), definition()]
            assert (outputs[0] - outputs[1]).abs().max() < 1e-10
            leaves = [table.requires_grad_(), nodes.requires_grad_(), whole.requires_grad_(), *block.parameters()]
            weights = torch.randn_like(outputs[0])
            gradients = (torch.autograd.grad((form() * weights).sum(), leaves) for form in (mine, definition))
            for one, other in zip(*gradients, strict=True):
                assert (one - other).abs().max() < 1e-10


def test_two_blocks_of_a_graph_network_pass_edges_on():
    torch.manual_seed(0)
    block, joined = GraphNetwork(3).double(), adjacent(3, 2, 8)
    nodes, whole, table = normal(1, 6, 3), normal(1, 3), normal(8, 3)
    grid, graph = GridGraph(3, 2), observed(joined, 6, 8)
    results = []
    for topology in (grid, graph):
        state = (nodes, table[topology.types], whole)
        for _ in range(2):
            state = block(*state, topology)
        results.append(state)
    assert (results[0][0] - results[1][0]).abs().max() < 1e-12
    forgetful = block(results[0][0], table[grid.types], whole, grid)
    assert (forgetful[0] - block(*results[0], grid)[0]).abs().max() > 1e-6


# ---- a grid's own graph, as an explicit one


@few
@given(grids, relation_lists, aggregations, seeds)
def test_on_the_grids_own_graph_the_explicit_r_gcn_equals_the_structured_one(grid, relations, aggregation, seed):
    torch.manual_seed(seed)
    structured = randomized(GridRGCN(3, 2, grid, relations, aggregation))
    explicit = RGCN(3, 2, len(structured.relations), aggregation).double()
    explicit.load_state_dict(structured.state_dict())
    index, types = grid_edges(structured.relations, *grid)
    edges = torch.cat([index, types[None]]).T.tolist()
    graph = observed(edges, grid[0] * grid[1], len(structured.relations), batch=2, spare=3)
    h = normal(2, *grid, 3)
    assert (structured(h).flatten(1, 2) - explicit(h.flatten(1, 2), graph)).abs().max() < 1e-10
    if edges:
        turned = observed([(j, i, (r + 1) % len(RELATIONS)) for i, j, r in edges], grid[0] * grid[1], len(RELATIONS))
        more = RGCN(3, 2, len(RELATIONS), aggregation).double()
        assert (structured(h)[:1].flatten(1, 2) - more(h[:1].flatten(1, 2), turned)).abs().max() > 1e-6


# ---- pooling


@pytest.mark.parametrize("how", POOLINGS)
def test_pooling_is_over_the_nodes_that_are_there_in_any_order(how):
    torch.manual_seed(0)
    pooling, h = Pooling(4, how).double(), normal(2, 6, 4)
    there = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0]]).bool()
    assert torch.allclose(pooling(h[:1], there[:1]), pooling(h[:1, :4]), atol=1e-12)
    assert torch.allclose(pooling(h, there)[1], h[1, 0], atol=1e-12)
    assert torch.allclose(pooling(h), pooling(h[:, torch.randperm(6)]), atol=1e-12)
    assert not torch.allclose(pooling(h), pooling(h[:, :2]), atol=1e-6)
    assert pooling(h, torch.zeros_like(there)).isfinite().all()


def test_attention_weighs_nodes_by_their_scores():
    pooling, h = Pooling(2, "attention").double(), normal(1, 3, 2)
    scores = [torch.exp(pooling.score.weight[0] @ h[0, i]) for i in range(3)]
    expected = sum(score * h[0, i] for i, score in enumerate(scores)) / sum(scores)
    assert (pooling(h)[0] - expected).abs().max() < 1e-12


# ---- the encoder on grids


OPTIONS = [
    {"layer": "gcn"},
    {"layer": "gcn", "neighbours": 4},
    {"layer": "graph_network"},
    {"layer": "graph_network", "aggregation": "max", "neighbours": 4},
    {"layer": "gated"},
    {"layer": "gated", "relations": "local", "layers": 3},
    {"relations": "all", "aggregation": "max"},
    {"relations": ["right", "under", "aligned"], "aggregation": "sum"},
    {"bases": 3},
    {"pooling": "attention"},
    {"pooling": "mean", "positions": "none"},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_with_every_option_a_gradient_reaches_every_parameter(options):
    env = make_vec_env("DoorKey-5x5", n_envs=4, seed=0)
    observation = preprocess_obs({k: torch.as_tensor(v) for k, v in env.reset().items()}, env.observation_space)
    torch.manual_seed(0)
    encoder = GNN(env.observation_space, width=16, channels=8, **options)
    features = encoder(observation)
    assert features.shape == (4, 16)
    (features * torch.randn_like(features)).sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_the_default_draws_and_names_its_parameters_as_ever():
    env = make_vec_env("DoorKey-5x5", n_envs=1, seed=0)
    torch.manual_seed(0)
    encoder = GNN(env.observation_space)
    torch.manual_seed(0)
    again = GNN(env.observation_space, pooling="attention")  # built after all that a default has
    names = list(encoder.state_dict())
    assert names[:2] == ["columns", "rows"] and encoder.layers[0].weight.shape == (15, 64, 64)
    assert names[-8:-4] == ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"]
    assert torch.equal(encoder.layers[1].weight, again.layers[1].weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"relations": "b4"}, r"one of local, b3, all, or a list of right, .*everywhere; got b4"),
        ({"relations": ["right", "beside"]}, r"a list of right, left, .*; got beside"),
        ({"relations": ["right", "right"]}, "twice"),
        ({"relations": []}, "a list of right"),
        ({"aggregation": "median"}, "mean, sum or max; got 'median'"),
        ({"bases": 0}, "at least 1; got 0"),
        ({"layer": "gat"}, "rgcn, gcn, graph_network or gated; got 'gat'"),
        ({"layer": "gcn", "aggregation": "max"}, "aggregation=max has no effect with encoder.layer=gcn"),
        ({"layer": "graph_network", "bases": 2}, "bases=2 has no effect with encoder.layer=graph_network"),
        ({"neighbours": 4}, "neighbours=4 has no effect with encoder.layer=rgcn"),
        ({"layer": "gcn", "neighbours": 6}, "neighbours is 4 or 8; got 6"),
        ({"pooling": "min"}, "max, mean or attention; got 'min'"),
        ({"positions": "sine"}, "auto, learned or none"),
    ],
)
def test_options_that_do_not_exist_or_do_nothing_are_refused(options, message):
    space = make_vec_env("DoorKey-5x5", n_envs=1).observation_space
    with pytest.raises(ValueError, match=message):
        GNN(space, **options)


# ---- observed graphs


class Forks(gym.Env):
    """A graph of up to 6 nodes in random order. Where the agent is, an edge of either type leads on: one to the goal.

    The action is the type of the edge to follow, the reward 1 if it led to the goal.
    """

    nodes, edges = 6, 8

    def __init__(self):
        self.observation_space = spaces.Dict(
            nodes=spaces.Box(0, 1, (self.nodes, 2), np.float32),
            edge_index=spaces.Box(0, self.nodes - 1, (2, self.edges), np.int64),
            edge_type=spaces.Box(0, 1, (self.edges,), np.int64),
            node_mask=spaces.Box(0, 1, (self.nodes,), np.uint8),
            edge_mask=spaces.MultiBinary(self.edges),
        )
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        count = self.np_random.integers(3, self.nodes + 1)
        here, *ends = self.np_random.permutation(count)[:3]
        self.right = int(self.np_random.integers(2))
        nodes = np.zeros((self.nodes, 2), np.float32)
        nodes[here, 0] = nodes[ends[self.right], 1] = 1
        more = self.np_random.integers(0, count, (2, self.np_random.integers(self.edges - 1)))
        more[0, more[0] == here] = ends[0]
        index = np.concatenate([[[here, here], ends], more], axis=1)
        types = np.concatenate([[0, 1], self.np_random.integers(0, 2, more.shape[1])])
        spare = self.edges - len(types)
        observation = {
            "nodes": nodes,
            "edge_index": np.pad(index, ((0, 0), (0, spare))),
            "edge_type": np.pad(types, (0, spare)),
            "node_mask": (np.arange(self.nodes) < count).astype(np.uint8),
            "edge_mask": (np.arange(self.edges) < len(types)).astype(np.int8),
        }
        return observation, {}

    def step(self, action):
        reward = float(action == self.right)
        return self.reset()[0], reward, True, False, {}


if "test/Forks-v0" not in gym.registry:
    gym.register("test/Forks-v0", Forks)


def forks(n: int = 5) -> dict[str, torch.Tensor]:
    """Observations, as SB3 hands them to an encoder."""
    env = Forks()
    samples = [env.reset(seed=seed)[0] for seed in range(n)]
    stacked = {key: torch.as_tensor(np.stack([sample[key] for sample in samples])) for key in samples[0]}
    return preprocess_obs(stacked, env.observation_space)


@pytest.mark.parametrize("layer", LAYERS)
def test_neither_padding_nor_the_order_of_nodes_and_edges_changes_the_features(layer):
    torch.manual_seed(0)
    space, observation = Forks().observation_space, {key: part.double() for key, part in forks().items()}
    assert kind_of(space) == "graph" and space.contains(Forks().reset(seed=0)[0])
    encoder = GNN(space, 16, 8, layer=layer, pooling="attention").double()
    features = encoder(observation)

    rubbish = {key: part.clone() for key, part in observation.items()}
    padding = rubbish["edge_mask"] == 0
    rubbish["nodes"][rubbish["node_mask"] == 0] = torch.nan
    rubbish["edge_type"][padding] = 9
    rubbish["edge_index"].transpose(1, 2)[padding] = -3
    assert (encoder(rubbish) - features).abs().max() < 1e-12

    order, edges = torch.randperm(6), torch.randperm(8)
    shuffled = {key: part[:, order] for key, part in observation.items() if key.startswith("node")}
    index = order.argsort()[observation["edge_index"].long()].double()
    shuffled |= {"edge_index": index[:, :, edges]}
    shuffled |= {key: observation[key][:, edges] for key in ("edge_type", "edge_mask")}
    assert (encoder(shuffled) - features).abs().max() < 1e-12

    other = {**observation, "edge_type": 1 - observation["edge_type"]}
    assert ((encoder(other) - features).abs().max() > 1e-6) == (layer != "gcn")  # which does not see types
    turned = {**observation, "edge_index": observation["edge_index"].flip(1)}
    assert (encoder(turned) - features).abs().max() > 1e-6


def test_masks_may_be_missing_where_everything_is_there():
    torch.manual_seed(0)
    observation = forks()
    parts = {key: part for key, part in Forks().observation_space.items() if not key.endswith("mask")}
    encoder = GNN(spaces.Dict(parts), 16, 8)
    bare = {key: observation[key] for key in parts}
    masked = {**bare, "node_mask": torch.ones(5, 6), "edge_mask": torch.ones(5, 8)}
    full = GNN(Forks().observation_space, 16, 8)
    full.load_state_dict(encoder.state_dict())
    assert (encoder(bare) - full(masked)).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("edge_index", 6, r"edge 0 \(6 -> 6, type 0\) of sample 2 joins nodes that are not in 0..5"),
        ("edge_index", -1, "joins nodes that are not in 0..5; mask it by edge_mask if it is padding"),
        ("edge_type", 2, r"edge 0 .*type 2\) of sample 2 has a type that is not in 0..1"),
        ("node_mask", 0, r"edge 0 .* of sample 2 joins a node that is padding in node_mask"),
    ],
)
def test_an_edge_that_cannot_be_is_refused_while_it_is_no_padding(key, value, message):
    encoder, observation = GNN(Forks().observation_space, 16, 8), forks()
    observation[key][2] = value
    with pytest.raises(ValueError, match=message):
        encoder(observation)
    observation["edge_mask"][2] = 0
    encoder(observation)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_traced_encoder_computes_the_same_and_looks_at_no_values(layer):
    encoder, observation = GNN(Forks().observation_space, 16, 8, layer=layer, aggregation="mean"), forks()
    example = {key: torch.zeros_like(part) for key, part in observation.items()}
    graph = torch.export.export(encoder, (example,)).module()
    assert (graph(observation) - encoder(observation)).abs().max() < 1e-6
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        encoder({key: mode.from_tensor(part) for key, part in observation.items()})


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"edge_type": None}, {}, "edge_type is missing"),
        ({"color": spaces.Box(0, 1, (6,))}, {}, "color is none of them"),
        ({"nodes": spaces.Box(0, 1, (6,))}, {}, r"nodes of a graph observation is a Box of the shape \(N, F\), got"),
        ({"edge_index": spaces.Box(0, 5, (3, 8), np.int64)}, {}, r"edge_index .* of the shape \(2, E\)"),
        ({"edge_mask": spaces.MultiBinary(7)}, {}, r"edge_mask .* of the shape \(E,\)"),
        ({"node_mask": spaces.Discrete(6)}, {}, r"node_mask .* of the shape \(N,\)"),
        ({"edge_index": spaces.Box(0, 6, (2, 8), np.int64)}, {}, r"reaches 6 by its bounds; nodes are 0..5"),
        ({"edge_type": spaces.Box(0, 1, (8,))}, {}, "whose bound says how many types there are"),
        ({"edge_type": spaces.Box(0, np.iinfo(np.int64).max, (8,), np.int64)}, {}, "whose bound says how many types"),
        ({}, {"relations": "local"}, "relations=local has no effect with encoder.layer=rgcn on an explicit graph"),
        ({}, {"positions": "learned"}, "encoder.positions is auto or none; got"),
    ],
)
def test_a_space_that_is_no_graph_and_options_of_grids_are_refused(changes, options, message):
    parts = {**Forks().observation_space.spaces, **changes}
    space = spaces.Dict({key: part for key, part in parts.items() if part is not None})
    with pytest.raises(ValueError, match=message):
        GNN(space, **options)


def test_other_encoders_refuse_graphs_and_name_those_that_read_them():
    from encoders.cnn import CNN

    space = Forks().observation_space
    with pytest.raises(ValueError, match=r"of the kind 'graph'. Encoders that read it: gnn, mlp"):
        CNN(space)
    assert MLP(space)(forks()).shape == (5, 128)


@pytest.mark.parametrize("layer", LAYERS)
def test_ppo_learns_on_observed_graphs_and_its_policy_is_loaded_again(layer, tmp_path):
    env = vectorized(Forks, n_envs=4, seed=0)
    options = {"width": 16, "channels": 8, "layers": 1, "layer": layer}
    model = make_agent(env, "gnn", "ppo", encoder_options=options, seed=0, n_steps=32, batch_size=32, device="cpu")
    before = copy.deepcopy(model.policy.state_dict())
    model.learn(256)
    assert any(not torch.equal(before[name], value) for name, value in model.policy.state_dict().items())
    policy = load_policy(save_policy(model, tmp_path / "policy"))
    observation = env.reset()
    mine, theirs = (p.predict(observation, deterministic=True)[0] for p in (model.policy, policy))
    assert (mine == theirs).all()


def test_a_graph_environment_trains_by_its_id():
    small = {"encoder.width": 16, "agent.n_steps": 64, "evaluation.every": 256, "evaluation.episodes": 4}
    result = train(
        env="gym",
        encoder="gnn",
        total_timesteps=256,
        progress=False,
        **{"env.id": "test/Forks-v0", "evaluation.final_episodes": 4, **small},
    )
    assert (result.folder / "policy" / "policy.yaml").exists()


@pytest.mark.slow
def test_the_types_of_edges_decide_and_only_layers_that_see_them_find_the_goal():
    def reward(layer: str) -> float:
        env = vectorized(Forks, n_envs=8, seed=0)
        options = {"width": 32, "channels": 32, "layer": layer}
        hyperparameters = {"n_steps": 64, "batch_size": 256, "learning_rate": 3e-3, "seed": 0, "device": "cpu"}
        model = make_agent(env, "gnn", "ppo", encoder_options=options, **hyperparameters).learn(10_000)
        return np.mean([episode["r"] for episode in model.ep_info_buffer])

    assert reward("rgcn") > 0.9 and reward("graph_network") > 0.9
    assert reward("gcn") < 0.7
