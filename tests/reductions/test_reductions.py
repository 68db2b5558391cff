"""Laws of the reductions, in float64 on random sizes: the same values and gradients, by x and by the parameters."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from encoders.base import encoders_reading
from encoders.layers.hyper import HyperLinear
from encoders.layers.relational import GridRGCN
from encoders.layers.relations import OFFSETS, RELATION_SETS, neighbours
from encoders.layers.stem import Stem
from reductions import (
    DenseRGCN,
    attention_as_rgcn,
    average_pooling_as_convolution,
    batch_norm_as_linear,
    convolution_as_linear,
    convolution_as_rgcn,
    deep_sets_as_rgcn,
    film_as_hyper,
    gcn_as_rgcn,
    grid_rgcn_as_rgcn,
    hyper_as_bilinear,
    max_pooling_as_selection,
    max_unpooling_as_adjoint,
    rgcn_as_linear,
    rnn_as_chain,
    with_one,
)

CONVOLUTIONS = [nn.Conv1d, nn.Conv2d, nn.Conv3d]
TRANSPOSED = [nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d]
AVERAGES = [nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d]
MAXIMA = [nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d]
UNPOOLINGS = [nn.MaxUnpool1d, nn.MaxUnpool2d, nn.MaxUnpool3d]
NORMS = [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d]

SIZES, SEEDS = st.integers(1, 5), st.integers(0, 10**6)
dimensions = pytest.mark.parametrize("dimension", [1, 2, 3])


def law(**strategies):
    """Ten examples, the same in every run."""
    few = settings(max_examples=10, deadline=None, database=None, derandomize=True)
    return lambda test: few(given(seed=SEEDS, **strategies)(test))


@pytest.fixture(autouse=True)
def in_float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def check(module, reduced, *inputs, original=None):
    """Assert that `reduced(module, *inputs)` is the module's output, with its gradients, and is not a perturbed one's.

    `original(module, *inputs)` says what the output is, where that is not `module(*inputs)`.
    """
    original = original or (lambda layer, *given: layer(*given))
    inputs = [each.requires_grad_() for each in inputs]
    parameters = list(module.parameters())
    expected, found = original(module, *inputs), reduced(module, *inputs)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    probe = torch.randn_like(expected)
    by = [*inputs, *parameters]
    gradients = [torch.autograd.grad((y * probe).sum(), by, materialize_grads=True) for y in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-9)
    if not parameters:
        return
    perturbed = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in perturbed.parameters():
            parameter.add_(torch.randn_like(parameter))
        assert (found - original(perturbed, *inputs)).abs().max() > 1e-6


# ---- convolutions


@st.composite
def convolutions(draw, dimension, transposed=False):
    """Options of a convolution, and a size that suits it."""
    each = st.tuples(*[st.integers(1, 3)] * dimension)
    groups = draw(st.integers(1, 3))
    options = {
        "in_channels": groups * draw(st.integers(1, 2)),
        "out_channels": groups * draw(st.integers(1, 2)),
        "kernel_size": draw(each),
        "stride": draw(each),
        "dilation": draw(each),
        "groups": groups,
        "padding": draw(st.tuples(*[st.integers(0, 2)] * dimension)),
    }
    reach = [d * (k - 1) + 1 for d, k in zip(options["dilation"], options["kernel_size"], strict=True)]
    size = tuple(draw(st.integers(max(reach_, 3), reach_ + 3)) for reach_ in reach)  # reflecting needs more than 2
    if transposed:
        largest = [max(s, d) - 1 for s, d in zip(options["stride"], options["dilation"], strict=True)]
        options["output_padding"] = tuple(draw(st.integers(0, most)) for most in largest)
        return options, size
    options["padding_mode"] = draw(st.sampled_from(["zeros", "circular", "reflect", "replicate"]))
    if draw(st.booleans()):
        options |= {"padding": draw(st.sampled_from(["same", "valid"])), "stride": 1}
        if options["padding"] == "same" and options["padding_mode"] != "zeros":
            options["dilation"] = 1  # which pads no more than there are cells
    return options, size


def as_linear(layer, x):
    y = convolution_as_linear(layer, tuple(x.shape[2:]))(x.flatten(1))
    return y.reshape(layer(x).shape)


def as_rgcn(layer, x):
    y = convolution_as_rgcn(layer, tuple(x.shape[2:]))(x.flatten(2).mT).mT
    return y.reshape(layer(x).shape)


@dimensions
def test_a_convolution_is_a_linear_layer_and_an_r_gcn(dimension):
    @law(drawn=convolutions(dimension))
    def holds(seed, drawn):
        torch.manual_seed(seed)
        options, size = drawn
        x = torch.randn(2, options["in_channels"], *size)
        layer = CONVOLUTIONS[dimension - 1](**options)
        check(layer, as_linear, x)
        check(layer, as_rgcn, x)

    holds()


@dimensions
def test_a_transposed_convolution_is_a_linear_layer_and_an_r_gcn(dimension):
    @law(drawn=convolutions(dimension, transposed=True))
    def holds(seed, drawn):
        torch.manual_seed(seed)
        options, size = drawn
        x = torch.randn(2, options["in_channels"], *size)
        layer = TRANSPOSED[dimension - 1](**options)
        check(layer, as_linear, x)
        check(layer, as_rgcn, x)

    holds()


@dimensions
def test_the_matrix_of_a_transposed_convolution_is_the_transpose(dimension):
    @law(drawn=convolutions(dimension))
    def holds(seed, drawn):
        torch.manual_seed(seed)
        options, size = drawn
        if isinstance(options["padding"], str):
            options |= {"padding": 1}
        layer = CONVOLUTIONS[dimension - 1](**(options | {"padding_mode": "zeros", "bias": False}))
        targets = layer(torch.zeros(1, layer.in_channels, *size)).shape[2:]
        beyond = [
            cells - ((n - 1) * s - 2 * p + d * (k - 1) + 1)
            for cells, n, s, p, d, k in zip(
                size, targets, layer.stride, layer.padding, layer.dilation, layer.kernel_size, strict=True
            )
        ]
        about = [layer.out_channels, layer.in_channels, layer.kernel_size, layer.stride, layer.padding, beyond]
        adjoint = TRANSPOSED[dimension - 1](*about, groups=layer.groups, dilation=layer.dilation, bias=False)
        adjoint.weight = layer.weight
        theta, transposed = convolution_as_linear(layer, size), convolution_as_linear(adjoint, tuple(targets))
        assert torch.equal(transposed.weight, theta.weight.T)
        x, y = torch.randn(theta.in_features), torch.randn(theta.out_features)
        torch.testing.assert_close(theta(x) @ y, x @ transposed(y))
        with torch.no_grad():
            adjoint.weight = nn.Parameter(layer.weight + 1)
            assert not torch.equal(convolution_as_linear(adjoint, tuple(targets)).weight, theta.weight.T)

    holds()


def test_a_convolution_ties_what_a_linear_layer_leaves_free():
    layer = nn.Conv2d(3, 8, 3, padding=1)
    linear = convolution_as_linear(layer, (7, 7))
    assert isinstance(linear, nn.Linear) and linear.weight.shape == (392, 147)
    assert set(linear.weight.flatten().tolist()) == {0.0, *layer.weight.flatten().tolist()}


def test_the_relations_of_a_3x3_convolution_are_a_cell_and_its_8_neighbours():
    adjacency = convolution_as_rgcn(nn.Conv2d(1, 1, 3, padding=1), (5, 4)).adjacency.unflatten(0, (3, 3))
    assert torch.equal(adjacency[1, 1], torch.eye(20))
    for relation, (dx, dy) in OFFSETS.items():
        assert torch.equal(adjacency[1 + dx, 1 + dy], neighbours(relation, 5, 4).double())


@pytest.mark.parametrize(
    ("layer", "size", "message"),
    [
        (nn.Conv2d(1, 1, 3), (5,), r"2 axes of cells, got size=\(5,\)"),
        (nn.Conv2d(1, 1, 3), (5, 2), "2 cells along axis 1 are too few"),
        (nn.Conv1d(1, 1, 3, padding=2, padding_mode="reflect"), (2,), "2 cells along axis 0 are too few"),
        (nn.ConvTranspose1d(1, 1, 1, padding=1), (2,), "2 cells along axis 0 are too few"),
    ],
)
def test_a_size_that_does_not_fit_a_convolution_is_refused(layer, size, message):
    with pytest.raises(ValueError, match=message):
        convolution_as_linear(layer, size)


# ---- pooling and normalization


@dimensions
def test_average_pooling_is_a_convolution(dimension):
    @law(kernel=st.integers(1, 3), stride=st.integers(1, 3), padding=st.integers(0, 1), more=SIZES)
    def holds(seed, kernel, stride, padding, more):
        torch.manual_seed(seed)
        pool = AVERAGES[dimension - 1](kernel, stride, min(padding, kernel // 2))
        x = torch.randn(2, 3, *[kernel + more] * dimension)
        check(pool, lambda pool, x: average_pooling_as_convolution(pool, 3)(x), x)
        other = average_pooling_as_convolution(AVERAGES[dimension - 1](kernel + 1, stride), 3)(x)
        assert other.shape != pool(x).shape or not torch.allclose(other, pool(x))

    holds()


def test_average_pooling_that_divides_by_fewer_at_the_border_is_refused():
    x = torch.randn(2, 3, 8, 8)
    assert torch.allclose(
        average_pooling_as_convolution(nn.AvgPool2d(2, divisor_override=3), 3)(x) * 3, F.avg_pool2d(x, 2) * 4
    )
    average_pooling_as_convolution(nn.AvgPool2d(3, count_include_pad=False), 3)  # nothing is padded
    for options in ({"padding": 1, "count_include_pad": False}, {"ceil_mode": True}):
        with pytest.raises(ValueError, match="fewer pixels at the border"):
            average_pooling_as_convolution(nn.AvgPool2d(3, **options), 3)


@dimensions
def test_max_pooling_selects_and_max_unpooling_is_the_adjoint(dimension):
    @law(kernel=st.integers(1, 3), more=SIZES)
    def holds(seed, kernel, more):
        torch.manual_seed(seed)
        pool = MAXIMA[dimension - 1](kernel, return_indices=True)
        x = torch.randn(2, 3, *[kernel + more] * dimension)
        y, indices = pool(x)
        selection = max_pooling_as_selection(pool, x)
        assert torch.equal((selection @ x.flatten(2)[..., None]).reshape(y.shape), y)
        adjoint = max_unpooling_as_adjoint(indices, tuple(x.shape[2:]))
        assert torch.equal(adjoint, selection.mT)
        z = torch.randn_like(y)
        unpooled = UNPOOLINGS[dimension - 1](kernel)(z, indices, output_size=x.shape)
        assert torch.equal((adjoint @ z.flatten(2)[..., None]).reshape(x.shape), unpooled)
        shifted = max_pooling_as_selection(pool, -x)  # of other maxima
        assert kernel == 1 or not torch.equal((shifted @ x.flatten(2)[..., None]).reshape(y.shape), y)

    holds()


def test_overlapping_windows_select_too_but_have_no_unpooling():
    x = torch.arange(5.0).flip(0).expand(1, 1, 5)
    pool = nn.MaxPool1d(3, stride=1, padding=1, return_indices=True)
    y, indices = pool(x)
    assert torch.equal((max_pooling_as_selection(pool, x) @ x[..., None])[..., 0], y)
    with pytest.raises(ValueError, match="chose the same cell"):
        max_unpooling_as_adjoint(indices, (5,))


@dimensions
def test_batch_norm_in_evaluation_is_a_diagonal_linear_layer(dimension):
    @law(channels=SIZES, affine=st.booleans())
    def holds(seed, channels, affine):
        torch.manual_seed(seed)
        norm = NORMS[dimension - 1](channels, affine=affine)
        norm(3 + 2 * torch.randn(4, channels, *[3] * dimension))  # statistics
        for parameter in norm.parameters():
            nn.init.normal_(parameter)
        with pytest.raises(ValueError, match=r"call eval\(\)"):
            batch_norm_as_linear(norm)
        x = torch.randn(2, channels, *[3] * dimension)
        check(norm.eval(), lambda norm, x: batch_norm_as_linear(norm)(x.movedim(1, -1)).movedim(-1, 1), x)

    holds()


# ---- nodes


@law(relations=SIZES, targets=SIZES, sources=SIZES, inputs=SIZES, outputs=SIZES)
def test_an_r_gcn_is_its_sum_over_edges_and_one_matrix(seed, relations, targets, sources, inputs, outputs):
    torch.manual_seed(seed)
    adjacency, weight = torch.randn(relations, targets, sources), torch.randn(relations, outputs, inputs)
    rgcn, h = DenseRGCN(adjacency, weight, torch.randn(outputs)), torch.randn(3, sources, inputs)
    expected = torch.stack(
        [
            rgcn.bias
            + sum(a[i, j] * h[:, j] @ w.T for a, w in zip(adjacency, weight, strict=True) for j in range(sources))
            for i in range(targets)
        ],
        dim=1,
    )
    torch.testing.assert_close(rgcn(h), expected)
    torch.testing.assert_close(rgcn_as_linear(rgcn)(h.flatten(1)), expected.flatten(1))
    rgcn.adjacency[0, 0, 0] += 1
    assert not torch.allclose(rgcn(h), expected)
    with pytest.raises(ValueError, match="one topology for each sample"):
        rgcn_as_linear(DenseRGCN(torch.ones(3, 1, 2, 2), torch.ones(1, 1, 1)))


class GCN(nn.Linear):
    """By the formula of one node: h'_i = Σ_{j ∈ N(i) ∪ {i}} A_ij W h_j / √(d_i d_j) + b."""

    def forward(self, h, edges):
        nodes = range(len(edges))
        with_self = [[float(edges[i, j]) + (i == j) for j in nodes] for i in nodes]
        degree = [sum(row) for row in with_self]
        sums = [sum(with_self[i][j] / (degree[i] * degree[j]) ** 0.5 * h[:, j] for j in nodes) for i in nodes]
        return F.linear(torch.stack(sums, dim=1), self.weight, self.bias)


@law(nodes=SIZES, inputs=SIZES, outputs=SIZES, weighted=st.booleans())
def test_a_gcn_is_an_r_gcn_of_one_relation(seed, nodes, inputs, outputs, weighted):
    torch.manual_seed(seed)
    edges = (torch.rand(nodes, nodes) if weighted else torch.randint(2, (nodes, nodes)).double()).triu(1)
    edges = edges + edges.T
    check(
        GCN(inputs, outputs),
        lambda layer, h: gcn_as_rgcn(layer, edges)(h),
        torch.randn(2, nodes, inputs),
        original=lambda layer, h: layer(h, edges),
    )


def test_a_gcn_needs_undirected_edges():
    for edges in (torch.ones(3, 3).triu(), -torch.ones(3, 3)):
        with pytest.raises(ValueError, match="symmetric and not negative"):
            gcn_as_rgcn(nn.Linear(2, 2), edges)


@law(nodes=SIZES, inputs=SIZES, outputs=SIZES, pooling=st.sampled_from(["sum", "mean"]), bias=st.booleans())
def test_deep_sets_are_an_r_gcn_of_two_relations(seed, nodes, inputs, outputs, pooling, bias):
    torch.manual_seed(seed)
    layers = nn.ModuleList([nn.Linear(inputs, outputs), nn.Linear(inputs, outputs, bias=bias)])

    def deep_sets(layers, h):
        own, pooled = layers
        everyone = h.sum(1, keepdim=True) if pooling == "sum" else h.mean(1, keepdim=True)
        return own(h) + pooled(everyone)

    h = torch.randn(2, nodes, inputs)
    check(layers, lambda layers, h: deep_sets_as_rgcn(*layers, nodes, pooling)(h), h, original=deep_sets)
    order = torch.randperm(nodes)
    rgcn = deep_sets_as_rgcn(*layers, nodes, pooling)
    torch.testing.assert_close(rgcn(h[:, order]), rgcn(h)[:, order])


def test_deep_sets_with_a_maximum_are_no_r_gcn():
    with pytest.raises(ValueError, match="sum or mean, got 'max'"):
        deep_sets_as_rgcn(nn.Linear(2, 2), nn.Linear(2, 2), 3, "max")


@pytest.mark.parametrize("relations", RELATION_SETS)
def test_the_structured_grid_layer_is_an_r_gcn(relations):
    about = {"aggregation": st.sampled_from(["mean", "sum"]), "bases": st.none() | SIZES}

    @law(grid=st.tuples(SIZES, SIZES), inputs=SIZES, outputs=SIZES, **about)
    def holds(seed, grid, inputs, outputs, aggregation, bases):
        torch.manual_seed(seed)
        layer = GridRGCN(inputs, outputs, grid, relations, aggregation, bases)
        nn.init.normal_(layer.bias)
        check(
            layer,
            lambda layer, h: grid_rgcn_as_rgcn(layer)(h.flatten(1, 2)).unflatten(1, grid),
            torch.randn(2, *grid, inputs),
        )

    holds()


@law(heads=st.integers(1, 3), size=SIZES, tokens=SIZES, bias=st.booleans(), padded=st.booleans())
def test_attention_is_an_r_gcn_whose_topologies_depend_on_its_input(seed, heads, size, tokens, bias, padded):
    torch.manual_seed(seed)
    layer = nn.MultiheadAttention(heads * size, heads, bias=bias, batch_first=True)
    for parameter in layer.parameters():  # biases too
        nn.init.normal_(parameter)
    padding = torch.rand(2, tokens) < 0.5 if padded else torch.zeros(2, tokens, dtype=torch.bool)
    padding[:, 0] = False
    h = torch.randn(2, tokens, heads * size)
    check(
        layer,
        lambda layer, h: attention_as_rgcn(layer, h, padding)(h),
        h,
        original=lambda layer, h: layer(h, h, h, key_padding_mask=padding)[0],
    )
    rgcn, expected = attention_as_rgcn(layer, h, padding), layer(h, h, h, key_padding_mask=padding)
    maps = layer(h, h, h, key_padding_mask=padding, average_attn_weights=False)[1]
    torch.testing.assert_close(rgcn.adjacency, maps)
    if tokens > 1 and not padded:  # topologies of another input
        other = attention_as_rgcn(layer, torch.randn_like(h), padding)
        assert (other(h) - expected[0]).abs().max() > 1e-6


def test_attention_that_is_no_self_attention_is_refused():
    h = torch.randn(1, 2, 4)
    for options in ({"kdim": 3}, {"add_bias_kv": True}, {"add_zero_attn": True}):
        with pytest.raises(ValueError, match="kdim, vdim, add_bias_kv or add_zero_attn"):
            attention_as_rgcn(nn.MultiheadAttention(4, 2, **options), h)
    with pytest.raises(ValueError, match=r"call eval\(\)"):
        attention_as_rgcn(nn.MultiheadAttention(4, 2, dropout=0.1), h)


# ---- sequences


@law(
    steps=SIZES,
    inputs=SIZES,
    units=SIZES,
    levels=st.integers(1, 3),
    bidirectional=st.booleans(),
    nonlinearity=st.sampled_from(["tanh", "relu"]),
    bias=st.booleans(),
)
def test_an_rnn_is_one_structured_layer_repeated(seed, steps, inputs, units, levels, bidirectional, nonlinearity, bias):
    torch.manual_seed(seed)
    layer = nn.RNN(inputs, units, levels, nonlinearity, bias, batch_first=True, bidirectional=bidirectional)
    initial = torch.randn(levels * (1 + bidirectional), 3, units)
    x = torch.randn(3, steps, inputs)
    check(
        layer,
        lambda layer, x, initial: rnn_as_chain(layer, steps)(x, initial),
        x,
        initial,
        original=lambda layer, x, initial: layer(x, initial)[0],
    )
    torch.testing.assert_close(rnn_as_chain(layer, steps)(x), layer(x)[0])  # from zeros


def test_the_blocks_of_an_unrolled_rnn_are_shared_by_all_steps():
    layer = nn.RNN(2, 3, batch_first=True)
    chain = rnn_as_chain(layer, 4)
    states, inputs, first = chain.weight[:12].split([12, 8, 3], dim=1)
    for step in range(4):
        rows = slice(3 * step, 3 * step + 3)
        for other in range(4):
            block = states[rows, 3 * other : 3 * other + 3]
            assert torch.equal(block, layer.weight_hh_l0 if other == step - 1 else torch.zeros(3, 3))
            block = inputs[rows, 2 * other : 2 * other + 2]
            assert torch.equal(block, layer.weight_ih_l0 if other == step else torch.zeros(3, 2))
        assert torch.equal(first[rows], layer.weight_hh_l0 if step == 0 else torch.zeros(3, 3))
    assert torch.equal(chain.weight[12:], torch.eye(23)[12:])


def test_after_t_layers_the_first_t_steps_are_right():
    layer, x = nn.RNN(2, 3, batch_first=True), torch.randn(5, 4, 2)
    chain, expected = rnn_as_chain(layer, 4), layer(x)[0]
    z = torch.cat([torch.zeros(5, 12), x.flatten(1), torch.zeros(5, 3)], dim=1)
    for depth in range(1, 5):
        z = F.linear(z, chain.weight, chain.bias)
        z = torch.cat([z[:, :12].tanh(), z[:, 12:]], dim=1)
        states = z[:, :12].unflatten(1, (4, 3))
        torch.testing.assert_close(states[:, :depth], expected[:, :depth])
        assert depth == 4 or (states[:, depth] - expected[:, depth]).abs().max() > 1e-6


def test_gates_and_dropout_are_no_such_layer():
    for layer in (nn.LSTM(2, 3), nn.GRU(2, 3)):
        with pytest.raises(ValueError, match="gates"):
            rnn_as_chain(layer, 4)
    layer = nn.RNN(2, 3, 2, dropout=0.1)
    with pytest.raises(ValueError, match=r"call eval\(\)"):
        rnn_as_chain(layer, 4)
    rnn_as_chain(layer.eval(), 4)


# ---- multiplicative interaction


@law(inputs=SIZES, outputs=SIZES, context=SIZES)
def test_a_hypernetwork_layer_is_a_bilinear_form(seed, inputs, outputs, context):
    torch.manual_seed(seed)
    check(
        HyperLinear(inputs, outputs, context),
        lambda layer, x, c: hyper_as_bilinear(layer, context)(with_one(c), with_one(x)),
        torch.randn(4, inputs),
        torch.randn(4, context),
        original=lambda layer, x, c: torch.einsum("boi,bi->bo", layer.generated(c), with_one(x)),
    )


@law(width=SIZES, context=SIZES, bias=st.booleans())
def test_film_is_a_hypernetwork_layer_of_diagonal_matrices(seed, width, context, bias):
    torch.manual_seed(seed)

    def modulated(film, x, c):
        gamma, beta = film(c).chunk(2, dim=1)
        return x * (1 + gamma) + beta

    film, x, c = nn.Linear(context, 2 * width, bias=bias), torch.randn(4, width), torch.randn(4, context)
    check(film, lambda film, x, c: film_as_hyper(film).bilinear(x, c), x, c, original=modulated)
    matrices = film_as_hyper(film).generated(c)[..., :-1]
    assert torch.equal(matrices, matrices.diagonal(dim1=1, dim2=2).diag_embed())
    form = hyper_as_bilinear(film_as_hyper(film), context)
    torch.testing.assert_close(form(with_one(c), with_one(x)), modulated(film, x, c))


@law(inputs=SIZES, width=SIZES, context=SIZES, bias=st.booleans())
def test_film_after_a_linear_layer_is_a_hypernetwork_layer(seed, inputs, width, context, bias):
    torch.manual_seed(seed)

    def modulated(layers, x, c):
        film, before = layers
        gamma, beta = film(c).chunk(2, dim=1)
        return before(x) * (1 + gamma) + beta

    check(
        nn.ModuleList([nn.Linear(context, 2 * width, bias=bias), nn.Linear(inputs, width, bias=bias)]),
        lambda layers, x, c: film_as_hyper(*layers).bilinear(x, c),
        torch.randn(4, inputs),
        torch.randn(4, context),
        original=modulated,
    )


def test_film_needs_two_halves():
    with pytest.raises(ValueError, match="of 1 numbers each; it has 3 outputs"):
        film_as_hyper(nn.Linear(2, 3))
    with pytest.raises(ValueError, match="of 3 numbers each; it has 4 outputs"):
        film_as_hyper(nn.Linear(2, 4), nn.Linear(2, 3))


def test_the_modulation_of_every_grid_encoder_is_a_hypernetwork_layer():
    from gymnasium import spaces

    grid = spaces.Box(0, 10, (3, 2, 3), "uint8")
    stem = Stem(spaces.Dict({"image": grid, "direction": spaces.Box(0, 3, (1,), "uint8")}), 4)
    obs = {"image": torch.randint(0, 11, (5, 3, 2, 3)).double(), "direction": torch.randint(0, 4, (5, 1)).double()}
    context = stem.context(obs)
    plain = stem.cells(obs["image"])
    hyper = film_as_hyper(stem.film)
    found = torch.stack([hyper.bilinear(cell, context) for cell in plain.flatten(1, 2).unbind(1)], dim=1)
    torch.testing.assert_close(found, stem(obs).flatten(1, 2))


# ---- what is returned


def test_the_returned_layers_are_torch_s_own_and_hold_no_parameters_of_their_own():
    layer = nn.Conv1d(2, 3, 3)
    linear = convolution_as_linear(layer, (5,))
    assert isinstance(linear, nn.Linear) and not list(linear.parameters())
    linear(torch.randn(2, 10)).square().sum().backward()
    assert layer.weight.grad.abs().sum() > 0


def test_reductions_are_no_encoder():
    assert "reductions" not in encoders_reading("grid")
