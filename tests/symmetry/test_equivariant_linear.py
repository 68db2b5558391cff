"""Laws of equivariant linear layers, in float64: they commute, and every form of them is the same."""

from __future__ import annotations

import copy
from itertools import product as pairs

import pytest
import torch
from groups import C2, C3, C4, D4, GROUPS, KLEIN, S3, representations, sign, turn
from torch import nn
from torch.nn import functional as F

from symmetry import (
    EquivariantLinear,
    OrthogonalRepresentation,
    Representation,
    expanded,
    nonlinearity,
    symmetrize,
    to_plain,
)
from symmetry.tied import Basis, Orbits

EXACT = {"rtol": 0, "atol": 1e-12}
by_name = pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)


@pytest.fixture(autouse=True)
def in_float64():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def moved(layer):
    """The layer with random parameters, biases too."""
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


@torch.no_grad()
def error(f, rep_in, rep_out):
    """The largest |f(ρ_in(g)x) - ρ_out(g)f(x)|."""
    x = torch.randn(5, rep_in.size)
    return max(float((f(rep_in(g, x)) - rep_out(g, f(x))).abs().max()) for g in range(rep_in.group.order))


def reflection_and_turn(group):
    """A representation of C3 or S3 by matrices that are no signed permutations."""
    return OrthogonalRepresentation(group, [turn(120), torch.diag(torch.tensor([1.0, -1.0]))][: len(group.generators)])


@by_name
def test_equivariant_layers_commute_with_the_group(group):
    for rep_in, rep_out in pairs(representations(group), repeat=2):
        assert error(moved(EquivariantLinear(rep_in, rep_out)), rep_in, rep_out) < 1e-12


@by_name
def test_a_plain_layer_does_not(group):
    rep = Representation.regular(group)
    assert error(nn.Linear(rep.size, rep.size), rep, rep) > 1e-3


@pytest.mark.parametrize("group", [C3, S3], ids=lambda group: group.name)
def test_layers_between_rotations_commute_with_the_group(group):
    plane, regular = reflection_and_turn(group), Representation.regular(group)
    for rep_in, rep_out in pairs([plane, plane * 2, plane + regular, regular * 2], repeat=2):
        layer = EquivariantLinear(rep_in, rep_out)
        assert error(moved(layer), rep_in, rep_out) < 1e-12
    assert EquivariantLinear(regular, plane).bias is None  # no vector of the plane is invariant
    assert error(nn.Linear(2, 2), plane, plane) > 1e-3


def test_a_large_basis_is_exact_to_rounding():
    plane, hidden = reflection_and_turn(C3), Representation.regular(C3) * 64
    matrix = Basis(plane * 3, hidden)(torch.randn(384)).view(192, 6)
    for g in range(3):
        assert (matrix @ (plane * 3).matrix(g) - hidden.matrix(g) @ matrix).abs().max() < 2e-14


@by_name
def test_the_orbits_and_the_projection_give_the_same_matrices(group):
    for rep_in, rep_out in pairs(representations(group), repeat=2):
        orbits, basis = Orbits(rep_in, rep_out), Basis(rep_in, rep_out)
        assert orbits.count == basis.count
        matrices = torch.stack([orbits(free) for free in torch.eye(orbits.count)])  # that the orbits span
        onto_basis = basis.basis @ basis.basis.T
        torch.testing.assert_close(matrices @ onto_basis, matrices, **EXACT)
        weight = torch.randn(rep_out.size, rep_in.size)
        projected = symmetrize(weight, rep_in, rep_out).flatten()
        torch.testing.assert_close(onto_basis @ weight.flatten(), projected, **EXACT)
        onto_orbits = torch.linalg.lstsq(matrices.T, projected[:, None]).solution
        torch.testing.assert_close((matrices.T @ onto_orbits)[:, 0], projected, **EXACT)


def test_an_orthogonal_copy_of_a_permutation_has_the_same_maps():
    rep, out = Representation.permutation(S3), Representation.regular(S3)
    layer = EquivariantLinear(OrthogonalRepresentation.of(rep), out)
    assert error(moved(layer), rep, out) < 1e-12 and layer.expand.count == Orbits(rep, out).count


def test_cartpole_reduces_to_van_der_pols_formula():
    state, action = sign(C2) * 4, Representation.permutation(C2)
    weight = torch.randn(2, 4)
    swap, negate = action.matrix(1), -torch.eye(4)
    torch.testing.assert_close(symmetrize(weight, state, action), weight / 2 + swap.inverse() @ weight @ negate / 2)
    layer = moved(EquivariantLinear(state, action))
    assert torch.equal(layer.weight[0], -layer.weight[1]) and torch.equal(layer.bias[0], layer.bias[1])


class Hooked(nn.Linear):
    """The other way to tie: an ordinary weight, symmetric at first, whose gradient is the sum over each orbit."""

    def __init__(self, layer, mean=False):
        super().__init__(layer.rep_in.size, layer.rep_out.size)
        self.load_state_dict({"weight": layer.weight, "bias": layer.bias})
        trivial = Representation.trivial(layer.rep_in.group)

        def over_orbits(expand, reps):
            entries = expand.index.bincount()[expand.index].view(reps[1].size, reps[0].size)
            return lambda gradient: symmetrize(gradient.view_as(entries), *reps).mul(1 if mean else entries)

        weight = over_orbits(layer.expand, (layer.rep_in, layer.rep_out))
        bias = over_orbits(layer.expand_bias, (trivial, layer.rep_out))
        self.weight.register_hook(weight)
        self.bias.register_hook(lambda gradient: bias(gradient).flatten())


def distance_after_100_steps(group, optimizer, **options):
    """Between a network of tied layers and one of hooked layers that started from the same weights."""
    torch.manual_seed(0)
    rep = Representation.regular(group) * 2
    state = sign(group) * 3 + rep if group in (C2, C4, D4, KLEIN) else Representation.permutation(group)
    mean = options.pop("mean", False)
    tied = [EquivariantLinear(state, rep), EquivariantLinear(rep, Representation.permutation(group))]
    networks = [
        nn.Sequential(tied[0], nn.Tanh(), tied[1]),
        nn.Sequential(Hooked(tied[0], mean), nn.Tanh(), Hooked(tied[1], mean)),
    ]
    x, y = torch.randn(100, 16, state.size), torch.randn(100, 16, tied[1].rep_out.size)
    for network in networks:
        steps = optimizer(network.parameters(), **options)
        for inputs, targets in zip(x, y, strict=True):
            steps.zero_grad()
            F.mse_loss(network(inputs), targets).backward()
            steps.step()
    first, second = (network(x[0]) for network in networks)
    return (first - second).abs().max().item()


@by_name
@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (torch.optim.SGD, {"lr": 0.05, "momentum": 0.9}),
        (torch.optim.Adam, {"lr": 0.01, "weight_decay": 0.1}),
        (torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.1}),
        (torch.optim.RMSprop, {"lr": 0.005, "alpha": 0.99, "eps": 1e-5}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_tied_parameters_and_summed_gradients_take_the_same_100_steps(group, optimizer, options):
    assert distance_after_100_steps(group, optimizer, **options) < 1e-9


def test_averaged_gradients_leave_that_path():
    assert distance_after_100_steps(C2, torch.optim.SGD, lr=0.05, mean=True) > 1e-3
    assert distance_after_100_steps(C2, torch.optim.Adam, lr=0.01, weight_decay=0.1, mean=True) > 1e-3


@by_name
def test_initial_activations_have_the_scale_of_an_ordinary_layer(group):
    rep = Representation.regular(group) * 64
    reps = [rep, Representation.trivial(group, 64) + rep]
    if group in (C2, C4, D4, KLEIN):  # half of the entries between these are bound to be 0
        reps.append((sign(group) + Representation.trivial(group)) * 64)
    for rep_in, rep_out in pairs(reps, repeat=2):
        x = torch.randn(512, rep_in.size)
        expected = nn.Linear(rep_in.size, rep_out.size, bias=False)(x).std()
        assert 0.85 < EquivariantLinear(rep_in, rep_out)(x).std() / expected < 1.15


@torch.no_grad()
def test_maps_of_rotations_start_at_that_scale_too():
    plane, hidden = reflection_and_turn(C3), Representation.regular(C3) * 32
    x = torch.randn(512, 2)
    scales = [EquivariantLinear(plane, hidden)(x).std() / nn.Linear(2, 96, bias=False)(x).std() for _ in range(20)]
    assert 0.85 < sum(scales) / 20 < 1.15


def test_a_map_that_can_only_be_zero_is_refused():
    with pytest.raises(ValueError, match="zero"):
        EquivariantLinear(Representation.trivial(C2), sign(C2))
    with pytest.raises(ValueError, match="different groups"):
        EquivariantLinear(Representation.regular(C2), Representation.regular(C4))
    with pytest.raises(ValueError, match="use fewer channels"):
        EquivariantLinear(OrthogonalRepresentation.of(Representation.regular(C3) * 40), Representation.regular(C3) * 64)
    assert EquivariantLinear(sign(C2), sign(C2)).bias is None


def test_nothing_computed_is_kept():
    rep = Representation.regular(C4) * 2
    layer, x = EquivariantLinear(rep, rep), torch.randn(3, rep.size)
    with torch.no_grad():
        before = layer(x)
        layer.free_weight.data.mul_(2)  # as SB3 updates target networks
        torch.testing.assert_close(layer(x), 2 * before)


def test_expanded_layers_act_alike_until_the_context_ends():
    rep = Representation.regular(C4) * 2
    network, x = nn.Sequential(moved(EquivariantLinear(rep, rep)), nn.Tanh()), torch.randn(3, rep.size)
    expected = network(x)
    with expanded(network):
        with torch.no_grad():
            assert torch.equal(network(x), expected)
            others = {name: 2 * parameter for name, parameter in network.named_parameters()}
            with_others = torch.func.functional_call(network, others, (x,))
            assert not torch.allclose(with_others, expected)
            copied = copy.deepcopy(network)
            copied[0].free_weight.data.mul_(2)
            assert not torch.allclose(copied(x), expected)
            network[0].free_weight.data.mul_(2)  # against the contract, to see that it is what is held
            assert torch.equal(network(x), expected)
        assert not torch.allclose(network(x), expected)  # a gradient is one of the parameters as they are
    with torch.no_grad():
        assert not torch.allclose(network(x), expected)


@pytest.mark.parametrize("bias", [True, False])
def test_a_plain_copy_has_the_same_outputs(bias):
    rep, plane = Representation.regular(S3) * 2, reflection_and_turn(S3)
    shared = moved(EquivariantLinear(rep, rep, bias=bias))
    network = nn.Sequential(EquivariantLinear(plane, rep, bias=bias), nn.Tanh(), shared, nn.Sequential(shared)).eval()
    state = torch.get_rng_state()
    plain = to_plain(network)
    assert torch.equal(torch.get_rng_state(), state)
    x = torch.randn(5, 2)
    torch.testing.assert_close(plain(x), network(x), **EXACT)
    assert {type(m) for m in plain.modules()} == {nn.Sequential, nn.Linear, nn.Tanh}
    assert plain[2] is plain[3][0] and plain[2] is not shared
    assert type(network[0]) is EquivariantLinear
    assert not any(module.training for module in plain.modules())
    assert isinstance(to_plain(shared), nn.Linear)
    moved(plain)
    assert (plain(x) - network(x)).abs().max() > 1e-3


@pytest.mark.parametrize("function", [nn.ReLU(), nn.Tanh(), nn.GELU(), nn.PReLU(init=0.3)])
def test_every_pointwise_function_commutes_with_unsigned_permutations(function):
    torch.set_default_dtype(torch.float32)
    rep = Representation.regular(S3) * 3
    assert nonlinearity(rep, function) is function


def test_only_odd_functions_commute_with_signs_and_none_with_rotations():
    rep = sign(C2) * 3 + Representation.regular(C2)
    assert error(nonlinearity(rep, nn.Tanh()), rep, rep) < 1e-12
    for function in (nn.ReLU(), nn.GELU(), nn.Hardtanh(-1, 2)):
        assert error(function, rep, rep) > 1e-3
        with pytest.raises(ValueError, match="changes signs; odd pointwise functions do"):
            nonlinearity(rep, function)
    nonlinearity(rep, nn.Hardtanh(-2, 2))
    with pytest.raises(ValueError, match="mixes coordinates; nonlinear layers go between"):
        nonlinearity(reflection_and_turn(C3), nn.Tanh())
    with pytest.raises(ValueError, match="permutes coordinates; pointwise functions do"):
        nonlinearity(Representation.regular(C4), nn.PReLU(4).requires_grad_(False).apply(distinct_slopes))


def distinct_slopes(function):
    function.weight.copy_(torch.arange(4.0))
