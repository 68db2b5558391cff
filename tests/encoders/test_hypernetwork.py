"""Laws of layers in which a context takes part, and of the encoder made of them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

from encoders.hypernetwork import Hypernetwork
from encoders.layers.hyper import INTERACTIONS, Bilinear, FiLM, HyperLinear

GENERATED = (HyperLinear, Bilinear)
SIZES = {"inputs": st.integers(1, 6), "outputs": st.integers(1, 5), "context": st.integers(1, 5)}
KINDS = [(name, rank) for name in INTERACTIONS for rank in ((None, 3) if name in ("hyper", "bilinear") else (None,))]


def grid(*keys: str) -> spaces.Dict:
    parts = {"image": (3, 4, 3, 10), "direction": (1, 3), "carrying": (2, 10), "mission": (9, 20)}
    chosen = {key: parts[key] for key in ("image", *keys)}
    return spaces.Dict({key: spaces.Box(0, high, shape, np.uint8) for key, (*shape, high) in chosen.items()})


SPACES = {
    "direction": grid("direction"),
    "carrying": grid("direction", "carrying"),
    "mission": grid("direction", "mission"),
    "cells alone": grid(),
    "vector": spaces.Box(-1, 1, (4,)),
}


def sampled(space: spaces.Space, n: int):
    space.seed(0)
    rows = [space.sample() for _ in range(n)]
    if isinstance(space, spaces.Dict):
        return {key: torch.tensor(np.stack([row[key] for row in rows])).double() for key in space}
    return torch.tensor(np.stack(rows)).double()


def build(space: spaces.Space, **options) -> Hypernetwork:
    torch.manual_seed(0)
    return Hypernetwork(space, **{"width": 8, "context": 5, "embedding": 3, **options}).double()


# ---- layers


@settings(max_examples=40, deadline=None)
@given(
    **SIZES,
    kind=st.sampled_from(GENERATED),
    rank=st.sampled_from([None, 1, 3]),
    group=st.lists(st.integers(0, 3), min_size=1, max_size=9),
)
def test_every_form_has_the_values_and_gradients_of_one_matrix_for_each_sample(
    inputs, outputs, context, kind, rank, group
):
    torch.manual_seed(inputs + 10 * outputs)
    layer = kind(inputs, outputs, context, rank).double()
    which = torch.tensor(group)  # some contexts have no sample, which is no reason to fail
    x = torch.randn(len(group), inputs, dtype=torch.float64, requires_grad=True)
    contexts = torch.randn(4, context, dtype=torch.float64, requires_grad=True)

    def with_gradients(form):
        y = form()
        gradients = torch.autograd.grad(y.square().sum(), [x, contexts, *layer.parameters()])
        return [y, *gradients]

    expected = with_gradients(lambda: naive(layer, x, contexts[which]))
    for form in (
        lambda: layer.grouped(x, contexts, which),
        lambda: layer.paired(x, contexts, which),
        lambda: layer.bilinear(x, contexts[which]),
    ):
        for mine, theirs in zip(with_gradients(form), expected, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)
        with perturbed(layer):
            other = form()
        assert (other - expected[0]).abs().max() > 1e-9  # a thousand times what equals may differ by


def naive(layer: HyperLinear, x, c):
    """W(c) x + b(c) with a matrix for each sample, from the definition."""
    if layer.rank is None:
        slices = list(layer.generator)
    else:
        slices = [layer.left @ torch.diag(a) @ layer.right for a in layer.mix]
    y = []
    for sample, numbers in zip(x, c, strict=True):
        weights = sum(c_k * g for c_k, g in zip(numbers, slices, strict=True))
        if isinstance(layer, Bilinear):
            y.append(weights @ sample + layer.bias)
        else:
            weights = layer.constant + weights
            y.append(weights[:, :-1] @ sample + weights[:, -1])
    return torch.stack(y)


class perturbed:
    """A layer with the last of its parameters altered, for a while."""

    def __init__(self, layer: nn.Module):
        self.parameter = list(layer.parameters())[-1]

    def __enter__(self):
        self.before = self.parameter.detach().clone()
        with torch.no_grad():
            self.parameter += 0.5 + torch.rand_like(self.parameter)

    def __exit__(self, *_):
        with torch.no_grad():
            self.parameter.copy_(self.before)


@settings(max_examples=20, deadline=None)
@given(**SIZES)
def test_film_is_the_hypernetwork_whose_matrices_are_diagonal_times_one(inputs, outputs, context):
    torch.manual_seed(inputs)
    film, hyper = FiLM(inputs, outputs, context).double(), HyperLinear(inputs, outputs, context).double()
    own = torch.cat([film.linear.weight, film.linear.bias[:, None]], dim=1)
    scales, shifts = film.modulation.weight.T.chunk(2, dim=1)
    with torch.no_grad():
        hyper.constant.copy_(own)
        hyper.generator.copy_(scales[:, :, None] * own)
        hyper.generator[:, :, -1] += shifts
    x, c = torch.randn(7, inputs, dtype=torch.float64), torch.randn(7, context, dtype=torch.float64)
    torch.testing.assert_close(film(x, c), hyper(x, c), rtol=1e-10, atol=1e-12)
    with torch.no_grad():
        hyper.generator[0, 0] += 0.1
    assert (film(x, c) - hyper(x, c)).abs().max() > 1e-4


@pytest.mark.parametrize(("name", "rank"), KINDS)
def test_all_but_concat_multiply(name, rank):
    """y(x, c) - y(x, c') - y(x', c) + y(x', c') is 0 for sums of a function of x and one of c alone."""
    torch.manual_seed(0)
    layer = INTERACTIONS[name](6, 5, 4, *([] if rank is None else [rank])).double()
    x, other_x = torch.randn(2, 7, 6, dtype=torch.float64)
    c, other_c = torch.randn(2, 7, 4, dtype=torch.float64)
    mixed = layer(x, c) - layer(x, other_c) - layer(other_x, c) + layer(other_x, other_c)
    assert mixed.abs().max() < 1e-12 if name == "concat" else mixed.abs().max() > 1e-3


@pytest.mark.parametrize(("name", "rank"), KINDS)
def test_at_first_contexts_have_nearly_the_same_ordinary_layer(name, rank):
    """Bias-HyperInit; bilinear has nothing that contexts could share, and only the scale of an ordinary layer."""
    torch.manual_seed(0)
    layer = INTERACTIONS[name](128, 64, 32, *([] if rank is None else [rank]))
    x, c = torch.randn(500, 128), torch.randn(500, 32)
    ordinary = nn.Linear(128, 64)(x).std()
    assert 0.7 < layer(x, c).std() / ordinary < 1.4
    if name != "concat":
        change = (layer(x, c) - layer(x, torch.randn(500, 32))).std() / ordinary
        assert change > 1 if name == "bilinear" else 0.02 < change < 0.3


@pytest.mark.parametrize("kind", GENERATED)
def test_generated_matrices_have_the_rank_that_was_asked_for(kind):
    layer = kind(9, 8, 5, 2).double()
    matrices = layer.generated(torch.randn(6, 5, dtype=torch.float64))
    generated = matrices - layer.constant if kind is HyperLinear else matrices[..., :-1]
    assert torch.linalg.matrix_rank(generated).tolist() == [2] * 6
    free = kind(9, 8, 5).double().generated(torch.randn(6, 5, dtype=torch.float64))
    assert torch.linalg.matrix_rank(free).tolist() == [8] * 6


def test_interactions_have_the_parameters_that_are_stated():
    n, m, k, r = 7, 5, 3, 2
    own = m * (n + 1)
    stated = {"hyper": own + k * own, "film": own + 2 * k * m, "gate": own + (k + 1) * m}
    stated |= {"bilinear": k * m * n + m, "concat": own + k * m}
    assert {name: count(each(n, m, k)) for name, each in INTERACTIONS.items()} == stated
    assert count(HyperLinear(n, m, k, r)) == own + r * (k + m + n + 1)
    assert count(Bilinear(n, m, k, r)) == m + r * (k + m + n)
    sizes = {
        name: count(Hypernetwork(SPACES["direction"], multiplicative=name, rank=rank))
        for name, rank in (("hyper", 21), ("film", None))
    }
    assert abs(sizes["hyper"] / sizes["film"] - 1) < 0.01


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# ---- the encoder


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(("name", "rank"), KINDS)
def test_a_batch_is_read_as_its_samples_are_and_every_parameter_learns(name, rank, space):
    encoder, obs = build(SPACES[space], multiplicative=name, rank=rank), sampled(SPACES[space], 6)
    together = encoder(obs)
    assert together.shape == (6, 8)
    alone = [encoder({k: v[[i]] for k, v in obs.items()} if isinstance(obs, dict) else obs[[i]]) for i in range(6)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-12)
    (together * torch.randn_like(together)).sum().backward()
    for parameter_name, parameter in encoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize(("name", "rank"), KINDS)
@pytest.mark.parametrize("space", ["direction", "vector"])
def test_a_traced_encoder_equals_it_whatever_the_contexts(name, rank, space):
    encoder, obs = build(SPACES[space], multiplicative=name, rank=rank), sampled(SPACES[space], 40)
    graph = make_fx(encoder, tracing_mode="fake", _allow_non_fake_inputs=True)(obs)
    if space == "direction":
        obs = {**obs, "direction": obs["direction"].roll(1)}
    torch.testing.assert_close(graph(obs), encoder(obs), rtol=0, atol=1e-12)
    other = copy.deepcopy(encoder)
    with perturbed(other.layers[-1]):
        assert not torch.allclose(graph(obs), other(obs), atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"multiplicative": "attention"},
            "encoder.multiplicative is hyper, film, gate, bilinear or concat; got 'attention'",
        ),
        ({"multiplicative": "film", "rank": 4}, r"encoder.multiplicative=hyper or bilinear.*film.*encoder.rank=null"),
        ({"rank": 0}, "encoder.rank is a whole number, at least 1; got 0"),
    ],
)
def test_an_option_that_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(SPACES["direction"], **options)
