"""A symmetric policy without its symmetry: the same outputs from nn.Linear and nn.Conv2d alone.

An equivariant layer is an ordinary one whose weight is gathered from fewer numbers, so it can be written out. Acting
then costs what an MLP's does, `save_plain` writes a file that torch alone reads, and `save_onnx` one for ONNX Runtime.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.onnx.symbolic_helper import parse_args

import symmetry
from agents.diagnostics import outputs
from agents.saved.policy import Policy
from encoders.layers.stem import CONTEXT_KEYS
from storage.durable import write_file

ONNX = ("onnx", "onnxruntime")
OPSET = 18  # of ONNX
INSTALL = "pip install 'inductive-rl[export]'"
NEARLY = 1e-4  # relative difference that rounding may leave between a network and its trace


def to_plain(policy: Policy) -> Policy:
    """A copy of a policy whose every equivariant layer is an ordinary one with the same weights: f'(s) = f(s).

    It shares nothing with the original, and training it would break the symmetry.
    """
    # what SB3 drew last, and the distributions it drew from, hold the graph of a minibatch, which cannot be copied
    drawn = [vars(part.action_dist).values() for part in policy.module.modules() if hasattr(part, "action_dist")]
    memo: dict[int, Any] = {}
    for value in (value for values in drawn for value in values):
        if isinstance(value, Tensor):
            memo[id(value)] = value.detach().clone()
        elif isinstance(value, Distribution):
            memo[id(value)] = None
    module: Any = symmetry.to_plain(copy.deepcopy(policy.module, memo))
    for critic in (part for part in module.modules() if hasattr(part, "q_networks")):
        critic.q_networks = [getattr(critic, f"qf{i}") for i in range(len(critic.q_networks))]  # SB3 keeps a list too
    return Policy(policy.spec, module)


class Greedy(nn.Module):
    """Raw observations -> the greedy actions of a policy, normalization included; a module that can be traced."""

    def __init__(self, policy: Policy):
        super().__init__()
        self.policy = policy.module
        self.statistics = policy.spec["normalization"]

    def forward(self, observation: Any) -> Tensor:
        policy: Any = self.policy
        if self.statistics is not None:
            mean, variance = (torch.tensor(self.statistics[key]).double() for key in ("mean", "variance"))
            standard = (observation - mean) / torch.sqrt(variance + self.statistics["epsilon"])
            observation = standard.clamp(-self.statistics["clip"], self.statistics["clip"]).float()
        actions = policy._predict(observation, deterministic=True)
        if not isinstance(policy.action_space, spaces.Box):
            return actions
        low, high = (torch.as_tensor(bound) for bound in (policy.action_space.low, policy.action_space.high))
        return low + 0.5 * (actions + 1) * (high - low) if policy.squash_output else actions.clamp(low, high)


def save_plain(policy: Policy, file: str | Path, observation: Any) -> Path:
    """Write the plain policy's greedy actions as TorchScript: `torch.jit.load(file)(observations)` needs torch alone.

    The file takes batches of any size. Before it is written, its actions are compared with `policy.predict` on batches
    of other sizes, with other missions up to the longest.

    Args:
        observation: an example batch of observations, as arrays.

    Raises:
        ValueError: a policy with memory, or one whose trace does not act as the policy does; nothing is written.
    """
    check_export(policy, file)
    plain = on_cpu(policy)
    module = Greedy(plain).eval().requires_grad_(False)
    with torch.no_grad(), warnings.catch_warnings():
        # each warns of what a trace may freeze, which the comparison below finds out
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        traced = torch.jit.trace(module, (as_tensors(plain, observation),), check_trace=False)
        for other in other_batches(policy.observation_space, observation):
            compare(policy, other, lambda tensors: traced(tensors).numpy())
    write_file(Path(file), traced.save_to_buffer())
    return Path(file)


def save_onnx(policy: Policy, file: str | Path, observation: Any) -> Path:
    """Write the plain policy's greedy actions as ONNX, which ONNX Runtime and others compute.

    Its inputs are named after the keys of the observation, or "observation"; its output is "actions". It takes batches
    of any size. Before it is written, the actions of ONNX Runtime are compared as in `save_plain`.

    Args:
        observation: an example batch of observations, as arrays.

    Raises:
        ValueError: as `save_plain`, or the packages of the extra [export] are not installed; nothing is written.
    """
    check_export(policy, file)
    import onnxruntime

    plain = on_cpu(policy)
    tensors = as_tensors(plain, observation)
    keys = [*tensors] if isinstance(tensors, Mapping) else None
    names = keys or ["observation"]
    module = ByPosition(Greedy(plain), keys).eval().requires_grad_(False)
    written = BytesIO()
    try:
        with torch.no_grad(), quiet():
            # not dynamo=True, which takes ten times as long and, in torch 2.13, fails on the GRU that reads missions
            torch.onnx.export(
                module,
                (tensors,) if keys is None else tuple(tensors.values()),
                written,  # type: ignore[arg-type]  # any file will do
                input_names=names,
                output_names=["actions"],
                dynamic_axes={name: {0: "batch"} for name in (*names, "actions")},
                opset_version=OPSET,
                dynamo=False,
            )
        content = written.getvalue()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # of the exporter or of ONNX Runtime
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        encoder = policy.spec["encoder"]["class"]
        raise ValueError(f"the policy cannot be exported: with its encoder {encoder}: {reason}") from error
    asked = [given.name for given in session.get_inputs()]  # not those of no effect on the actions

    def act(tensors: Any) -> np.ndarray:
        parts = {"observation": tensors} if keys is None else tensors
        return session.run(None, {name: parts[name].numpy() for name in asked})[0]

    for other in other_batches(policy.observation_space, observation):
        compare(policy, other, act)
    write_file(Path(file), content)
    return Path(file)


def check_export(policy: Policy, file: str | Path) -> None:
    """Raise ValueError for a policy with memory, or if the packages that a file of ONNX needs are not installed."""
    if not policy.module.encoders():  # type: ignore[operator]
        raise ValueError("a policy with memory cannot be saved as a function of the observation")
    if Path(file).suffix == ".onnx" and not all(map(find_spec, ONNX)):
        raise ValueError(f"a file of ONNX is written and checked by {' and '.join(ONNX)}: {INSTALL}")


def on_cpu(policy: Policy) -> Policy:
    """The plain policy, on the CPU."""
    plain = to_plain(policy)
    plain.module.to("cpu")
    return plain


class ByPosition(nn.Module):
    """A module that takes a dict, or one tensor if `keys` is None, as one whose arguments are the parts in order."""

    def __init__(self, module: nn.Module, keys: list[str] | None):
        super().__init__()
        self.module, self.keys = module, keys

    def forward(self, *parts: Tensor) -> Tensor:
        return self.module(parts[0] if self.keys is None else dict(zip(self.keys, parts, strict=True)))


@contextmanager
def quiet() -> Iterator[None]:
    """The exporter does not warn, and knows `index_add` for batches of any size."""
    torch.onnx.register_custom_op_symbolic("aten::index_add", index_add, OPSET)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.onnx.unregister_custom_op_symbolic("aten::index_add", OPSET)


@parse_args("v", "i", "v", "v", "v")
def index_add(graph: Any, onto: Any, dim: int, index: Any, source: Any, alpha: Any = None) -> Any:
    """`index_add` in ONNX, without a factor; torch's own takes the batch of the example for the only one."""
    others = [axis for axis in range(onto.type().dim()) if axis != dim]
    places = graph.op("Unsqueeze", index, graph.op("Constant", value_t=torch.tensor(others)))
    places = graph.op("Expand", places, graph.op("Shape", source))
    return graph.op("ScatterElements", onto, places, source, axis_i=dim, reduction_s="add")


def as_tensors(policy: Policy, observation: Any) -> Any:
    """A batch of observations as the file takes it."""
    return policy.module.obs_to_tensor(observation)[0]


def other_batches(space: spaces.Space, observation: Any) -> list[Any]:
    """Two batches unlike the example of n observations: the first alone, and 2n + 1 in reverse with other contexts.

    Directions and carried objects are drawn at random, missions too, with 1, 2, ... words up to the most that fit.
    """
    parts = observation if isinstance(observation, Mapping) else {"observation": observation}
    count = len(next(iter(parts.values())))
    rows, random = np.arange(2 * count + 1, 0, -1) % count, np.random.default_rng(0)
    more = {key: np.asarray(part)[rows] for key, part in parts.items()}
    for key in CONTEXT_KEYS:
        if key in more:
            box = space[key]  # type: ignore[index]
            lowest = 1 if key == "mission" else box.low
            drawn = random.integers(lowest, box.high.astype(np.int64) + 1, more[key].shape)
            if key == "mission":
                words = np.arange(1, drawn.shape[-1] + 1)
                lengths = np.linspace(1, drawn.shape[-1], len(rows)).round().reshape(-1, *[1] * (drawn.ndim - 1))
                drawn = np.where(words <= lengths, drawn, 0)
            more[key] = drawn.astype(more[key].dtype)
    if isinstance(observation, Mapping):
        return [{key: np.asarray(part)[:1] for key, part in parts.items()}, more]
    return [observation[:1], more["observation"]]


def compare(policy: Policy, observation: Any, act: Callable[[Any], np.ndarray]) -> None:
    """Raise ValueError unless a file acts as the policy does, where rounding does not decide between two actions.

    Args:
        act: what the file does with a batch of observations, as tensors on the CPU.
    """
    expected = policy.predict(observation, deterministic=True)[0]
    encoder = policy.spec["encoder"]["class"]
    tensors = as_tensors(policy, observation)
    tensors = {k: part.cpu() for k, part in tensors.items()} if isinstance(tensors, Mapping) else tensors.cpu()
    try:
        actions = act(tensors).reshape(expected.shape)
    except Exception as error:  # of torch, or of ONNX Runtime's own kind
        why = str(error).strip().splitlines()[-1]
        raise ValueError(
            f"the policy cannot be exported: traced, its encoder {encoder} fails on a batch of {len(expected)}: {why}"
        ) from error
    if isinstance(policy.action_space, spaces.Box):
        wrong = ~np.isclose(actions, expected, rtol=NEARLY, atol=NEARLY).reshape(len(expected), -1).all(1)
    else:
        wrong = (actions != expected).reshape(len(expected), -1).any(1)
    if isinstance(policy.action_space, spaces.Discrete) and wrong.any():
        wrong &= ~equally_good(policy, observation, actions, expected)
    if wrong.any():
        raise ValueError(
            f"the policy cannot be exported: traced, its encoder {encoder} acts otherwise in {wrong.sum()} of "
            f"{len(wrong)} observations that were not in the example"
        )


def equally_good(policy: Policy, observation: Any, actions: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each observation, whether a policy with discrete actions prefers neither of two actions, but for rounding."""
    kind, values = next(iter(outputs(policy, observation).items()))
    scores = values[1].mean(1) if kind == "quantiles" else values[1]
    one, other = (
        scores.gather(1, torch.as_tensor(each).to(scores.device)[:, None])[:, 0] for each in (actions, others)
    )
    return ((one - other).abs() <= NEARLY * other.abs().clamp_min(1)).cpu().numpy()
