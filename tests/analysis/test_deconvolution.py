"""Deconvolution is the adjoint of the stack, but for its ReLUs; it stays within the receptive field."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from encoder_cases import history
from torch import nn

from agents import make_agent
from agents.diagnostics import as_encoded
from agents.saved.policy import Policy
from analysis.cells import as_function
from analysis.deconvolution import Deconvolution, forward, receptive_field, strongest
from analysis.stacks import stack_of, up_to_activations
from encoders.layers import convolution
from encoders.layers.normalization import normalization
from encoders.layers.regularization import Regularization
from envs import make_vec_env
from reductions import convolution_as_linear, max_pooling_as_selection

SIZE = (24, 21)
NETWORKS = 30


def linear_stack(seed: int) -> nn.Sequential:
    """Convolutions and average pooling, with random kernels, strides, paddings and groups."""
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    channels, layers = 2, []
    for _ in range(2):
        kernel, stride, padding, dilation = (int(random.integers(*ends)) for ends in ((1, 4), (1, 3), (0, 2), (1, 3)))
        layers.append(nn.Conv2d(channels, 4, kernel, stride, padding, dilation, groups=int(random.integers(1, 3))))
        channels = 4
    return nn.Sequential(*layers, *([nn.AvgPool2d(2)] if random.random() < 0.3 else [])).double()


def adjoint(function, x, signal):
    """Jᵀ signal, by automatic differentiation."""
    x = x.detach().requires_grad_()
    return torch.autograd.grad(function(x), x, signal)[0]


def test_without_switches_and_relus_it_is_the_autograd_adjoint():
    for seed in range(NETWORKS):
        stack = linear_stack(seed)
        x = torch.randn(3, 2, *SIZE).double()
        y, back = forward(stack, x)
        signal = torch.randn_like(y)
        torch.testing.assert_close(y, stack(x))
        torch.testing.assert_close(back(signal), adjoint(stack, x, signal))


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(3, 1)])
def test_with_switches_it_is_the_transpose_of_what_they_select_at_that_input(pool):
    torch.manual_seed(0)
    first, last = nn.Conv2d(2, 3, 3, padding=1).double(), nn.Conv2d(3, 2, 2).double()
    x = torch.randn(4, 2, 6, 5).double()
    y, back = forward(nn.Sequential(first, pool, last), x)
    maps = first(x)
    selection = max_pooling_as_selection(pool, maps)  # (batch, channels, windows, cells)
    theta, phi = convolution_as_linear(first, x.shape[2:]), convolution_as_linear(last, pool(maps).shape[2:])
    signal = torch.randn_like(y)
    pooled = (signal.flatten(1) @ phi.weight).unflatten(1, (3, -1))
    expected = torch.einsum("bcw,bcwp->bcp", pooled, selection).flatten(1) @ theta.weight
    with torch.no_grad():
        torch.testing.assert_close(back(signal).flatten(1), expected)
        _, elsewhere = forward(nn.Sequential(first, pool, last), -x)
        assert (elsewhere(signal).flatten(1) - expected).abs().max() > 0.1, "the switches make no difference"


@pytest.mark.parametrize("name", ["batch", "layer", "group", "instance"])
def test_normalization_has_the_adjoint_of_what_it_is_with_its_statistics_held_fixed(name):
    torch.manual_seed(0)
    (norm,) = normalization(name, 4, 2)
    norm = norm.double().eval()
    nn.init.normal_(norm.weight)
    x, signal = torch.randn(3, 4, *SIZE).double(), torch.randn(3, 4, *SIZE).double()
    _, back = forward(norm, x)
    if name == "batch":
        expected = adjoint(norm, x, signal)
    else:
        groups = x.flatten(1).unflatten(1, (norm.num_groups, -1))
        mean, deviation = groups.mean(2, keepdim=True), (groups.var(2, correction=0, keepdim=True) + norm.eps).sqrt()

        def held(x):
            normed = ((x.flatten(1).unflatten(1, (norm.num_groups, -1)) - mean) / deviation).view_as(x)
            return normed * norm.weight[:, None, None] + norm.bias[:, None, None]

        torch.testing.assert_close(held(x), norm(x))
        expected = adjoint(held, x, signal)
    with torch.no_grad():
        torch.testing.assert_close(back(signal), expected)


@pytest.mark.parametrize("made", [convolution.nature, convolution.impala])
def test_a_trunk_of_pixels_is_run_forwards_as_it_is_and_back_as_its_gradient_where_no_relu_closes(made):
    torch.manual_seed(0)
    trunk = made(3, Regularization())
    for parameter in trunk.parameters():  # with positive numbers everywhere a ReLU is the identity
        nn.init.uniform_(parameter, 0, 0.05)
    x = torch.rand(2, 3, 44, 40)
    deconvolution = Deconvolution(up_to_activations([*trunk]), x)
    torch.testing.assert_close(deconvolution.maps[-1], trunk(x))
    signal = torch.rand_like(deconvolution.maps[-1])
    back = deconvolution.back(len(deconvolution.maps) - 1, signal)
    torch.testing.assert_close(back, adjoint(trunk, x, signal), rtol=1e-4, atol=1e-6)
    assert len(deconvolution.maps) == {"nature": 3, "impala": 6}[made.__name__]


def test_a_relu_lets_a_positive_signal_through_and_no_negative_one():
    x = torch.tensor([[[[-1.0, 2.0]]]])
    _, back = forward(nn.ReLU(), x)
    assert back(torch.tensor([[[[3.0, -4.0]]]])).flatten().tolist() == [3, 0]  # the gradient would be 0, -4


def policy_of(encoder: str, options: dict, env_id: str = "DoorKey-5x5", **env) -> tuple[nn.Module, object]:
    torch.manual_seed(0)
    environment = make_vec_env(env_id, n_envs=2, seed=0, **history(encoder), **env)
    model = make_agent(environment, encoder, "ppo", encoder_options=options, seed=0, device="cpu")
    policy = Policy.of(model)
    policy.module.set_training_mode(False)
    observations = as_encoded(policy, environment.reset())
    environment.close()
    return policy.module.pi_features_extractor, observations


@pytest.mark.parametrize(
    ("encoder", "options"),
    [
        ("cnn", {}),
        ("cnn", {"layer_pooling": "max"}),
        ("cnn", {"stride": 2, "kernel": 2, "padding": 0}),
        ("lstm", {"trunk_options": {"channels": 8}}),
        ("homomorphic", {}),
    ],
)
def test_a_unit_s_deconvolution_lies_in_its_receptive_field_and_the_unit_depends_on_nothing_else(encoder, options):
    network, observations = policy_of(encoder, options)
    stack = stack_of(network, observations)
    x = stack.inputs.double()
    layers = [layer.double() for layer in stack.layers]
    deconvolution = Deconvolution(layers, x)
    last = len(layers) - 1
    values, cells = strongest(deconvolution.maps[last])
    channels = values.argmax(1)
    assert torch.equal(values, deconvolution.maps[last].amax((2, 3)))
    chosen = cells[torch.arange(len(x)), channels]
    signal = deconvolution.of_units(last, channels, chosen)
    for sample, cell in enumerate(chosen.tolist()):
        (left, right), (top, bottom) = receptive_field(layers, tuple(cell), x.shape[2:])
        outside = torch.ones(x.shape[2:], dtype=bool)
        outside[left : right + 1, top : bottom + 1] = False
        assert signal[sample, :, outside].abs().sum() == 0 and signal[sample].abs().sum() > 0
        unit = last, sample, channels[sample], *cell
        changed = Deconvolution(layers, torch.where(outside, torch.randn_like(x), x)).maps[last][unit[1:]]
        assert changed == pytest.approx(float(deconvolution.maps[last][unit[1:]]), abs=1e-12)
        inside = Deconvolution(layers, torch.where(outside, x, torch.randn_like(x))).maps[last][unit[1:]]
        assert inside != deconvolution.maps[last][unit[1:]]


@pytest.mark.parametrize(
    ("encoder", "env_id"), [("cnn", "DoorKey-5x5"), ("cnn", "GoToDoor-5x5"), ("homomorphic", "GoToDoor-5x5")]
)
def test_what_is_said_of_a_cell_is_the_adjoint_of_its_embedding(encoder, env_id):
    network, observations = policy_of(encoder, {}, env_id)
    stack = stack_of(network, observations)
    function, x = as_function(network, observations)

    def embedded(x):
        given = []
        trunk = network.trunk if encoder == "cnn" else network.trunk.trunk
        hook = trunk.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
        function(x)
        hook.remove()
        return given[0]

    torch.testing.assert_close(embedded(x), stack.inputs)
    signal = torch.randn_like(stack.inputs)
    torch.testing.assert_close(
        stack.contents(signal).flatten(), adjoint(embedded, x, signal).flatten(), atol=1e-5, rtol=1e-4
    )


def test_what_has_no_convolution_and_what_has_no_way_back_are_refused():
    network, observations = policy_of("mlp", {})
    with pytest.raises(ValueError, match="encoder=cnn has them, homomorphic on grids, and lstm where"):
        stack_of(network, observations)
    with pytest.raises(ValueError, match=r"no deconvolution through Tanh\(\); there is through convolutions, ReLU"):
        Deconvolution([nn.Sequential(nn.Conv2d(1, 1, 3), nn.Tanh())], torch.zeros(1, 1, 5, 5))
    with pytest.raises(ValueError, match="padding_mode=zeros has one"):
        Deconvolution([nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular")], torch.zeros(1, 1, 5, 5))
