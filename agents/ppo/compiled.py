"""PPO's steps as compiled graphs: forward, loss, backward, clipping and Adam of a minibatch in one call.

The step of agents/ppo/update.py is traced once, down to ATen operations. TorchInductor compiles the graph to C++ on the
CPU and to kernels on the GPU, where their launches are recorded as one CUDA graph and replayed. Everything that changes
from call to call (parameters, moments, the nonces of dropout) is an input of the graph. Running statistics of a layer
are not inputs, so batch normalization is refused. TorchInductor fuses and reorders operations, so results equal those
of the eager form to rounding.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from agents.ppo.rollout import Minibatch, Observation, Rollout, blank
from agents.ppo.update import Update, depends_on_more
from encoders.layers.normalization import counts_samples
from encoders.torch_internals import compile_graph, graph_of, is_any_length


def compiler() -> str | None:
    """The C++ compiler that TorchInductor would use here."""
    return next((found for name in ("g++", "clang++") if (found := shutil.which(name))), None)


def compiled(
    function: Callable[..., Any],
    inputs: Sequence[Tensor],
    varying: Sequence[bool] = (),
    simplify: Callable[[torch.fx.Graph], None] = lambda graph: None,
) -> Callable[..., Any]:
    """Trace and compile a function of tensors with these shapes.

    Args:
        varying: which inputs have a first axis of any length, the same length for all of them.
        simplify: changes the graph before it is compiled.

    Raises:
        Exception: the function depends on the values of its inputs or on the varying length, or no compiler was found.
    """
    graph, like = graph_of(function, inputs, varying)
    simplify(graph.graph)
    graph.recompile()
    if any(varies and not is_any_length(tensor.shape[0]) for tensor, varies in zip(like, varying, strict=False)):
        raise ValueError("it depends on how many different observations there are")
    with torch.no_grad():
        return compile_graph(graph, like if any(varying) else list(inputs))


def cuda_graph(function: Callable[..., Any], inputs: Sequence[Tensor]) -> tuple[Callable[[], None], Any]:
    """Record the kernels that a function launches without running them -> a function to replay them, the outputs."""
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = function(*inputs)
    return graph.replay, outputs


class Replayed:
    """A function of tensors as one CUDA graph, which always uses the same memory.

    TorchInductor's own CUDA graphs do not support functions that change their inputs, as a learning step does.

    Args:
        function: returns one tensor or several.
        inputs: examples with the shapes of all later inputs.
        shared: the number of leading inputs that the graph reads and changes in place; the others are copied into the
            graph's memory at each call.
        record: `cuda_graph`, or a replacement for it in tests.
    """

    def __init__(self, function: Callable[..., Any], inputs: Sequence[Tensor], shared: int, record: Any = cuda_graph):
        self.shared = shared
        self.inputs = [*inputs[:shared], *(each.clone() for each in inputs[shared:])]
        # the first call compiles and times kernels, which cannot be recorded; it runs on copies, so nothing is learned
        function(*(each.clone() for each in inputs))
        self.replay, self.outputs = record(function, self.inputs)

    def __call__(self, *inputs: Tensor) -> Any:
        for mine, given in zip(self.inputs[self.shared :], inputs[self.shared :], strict=True):
            mine.copy_(given)
        self.replay()
        outputs = self.outputs  # the next call overwrites them
        return outputs.clone() if isinstance(outputs, Tensor) else [each.clone() for each in outputs]


class CompiledUpdate(Update):
    """`Update` in graphs; batches of another size than the prepared one (an incomplete last minibatch) run eagerly."""

    def prepare(self, rollout: Rollout, batch_size: int, environments: int) -> None:
        """Trace and compile learning for minibatches of this size, and acting for this number of environments.

        Raises:
            Exception: the policy cannot be traced (the message says why), or compiling failed.
        """
        if depends_on_more(self.policy):
            raise ValueError("its output depends on more than the observation")
        if counts_samples(self.policy):
            raise ValueError("batch normalization keeps statistics, which a graph does not")
        batch = rollout.example(batch_size)
        self.batch_size, self.environments = len(batch.actions), 0
        self.no_nonces = torch.zeros(1, dtype=torch.long, device=self.adam.flat.device)
        self.keys = keys = list(batch.observations) if isinstance(batch.observations, dict) else None
        repeats = batch.rows is not None

        count = 1 + len(self.adam.moments)

        def learn(*inputs: Tensor) -> Tensor:
            vectors, (scalars, nonces, *parts) = inputs[:count], inputs[count:]
            samples, parts = parts[:5], parts[5:]
            rows, parts = (parts[0], parts[1:]) if repeats else (None, parts)
            again = Minibatch(observations_of(parts, keys), rows, *samples)
            return self._step(vectors, scalars, nonces, again)

        inputs = self._inputs(batch, [0.2, 0.2, *self.adam.numbers()])
        fixed = (
            count + 2 + 5 + 1
        )  # the inputs before the distinct observations: vectors, scalars, nonces, samples, rows
        varying = [False] * fixed + [True] * (len(inputs) - fixed) if repeats else ()
        self.learning = compiled(learn, inputs, varying)
        if not repeats:
            if self.adam.flat.is_cuda:
                self.learning = Replayed(self.learning, inputs, shared=count)
            # with distinct observations, acting evaluates new ones only, which are few
            self._prepare_acting(blank(rollout.observation_space, environments, rollout.device))

    def _prepare_acting(self, observations: Observation) -> None:
        keys, parts = self.keys, parts_of(observations)
        self.environments, self.types = len(parts[0]), [part.dtype for part in parts]
        with torch.no_grad():
            self.noise_like = self.network(observations)[0]

        def act(flat: Tensor, noise: Tensor, nonces: Tensor, *parts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            output, values, log_std = self._network(self.adam.views(flat), nonces, observations_of(parts, keys))
            actions, log_probs = self.loss.distribution.sample(output, log_std, noise)
            return actions, values, log_probs

        inputs = [self.adam.flat, torch.ones_like(self.noise_like), self._nonces(), *parts]
        self.acting = compiled(act, inputs)
        if self.adam.flat.is_cuda:
            self.acting = Replayed(self.acting, inputs, shared=1)

    def act(self, observations: Observation) -> tuple[Tensor, Tensor, Tensor]:
        parts = self._readable(observations)
        if parts is None:
            return super().act(observations)
        return self.acting(self.adam.flat, self.loss.distribution.noise(self.noise_like), self._nonces(), *parts)

    def values(self, observations: Observation) -> Tensor:
        parts = self._readable(observations)
        if parts is None:
            return super().values(observations)
        return self.acting(self.adam.flat, self.noise_like, self._nonces(), *parts)[
            1
        ]  # no action is taken, so the noise does not matter

    def _readable(self, observations: Observation) -> list[Tensor] | None:
        """Observations as inputs of the acting graph; None if it was compiled for another number of environments."""
        # the graph assumes one order of keys, one dtype and one memory layout; environments may give keys in another
        # order, wider dtypes or transposed images
        parts = parts_of(observations if self.keys is None else {key: observations[key] for key in self.keys})
        if len(parts[0]) != self.environments:
            return None
        return [part.to(declared).contiguous() for part, declared in zip(parts, self.types, strict=True)]

    def __call__(self, batch: Minibatch, clip_range: float, clip_range_vf: float = 0.0) -> tuple[Tensor, Tensor | None]:
        self.measured = None
        if len(batch.actions) != self.batch_size:
            return super().__call__(batch, clip_range, clip_range_vf)
        numbers = [clip_range, clip_range_vf, *self.adam.numbers()]
        measured = self.learning(*self._inputs(batch, numbers))
        parts = len(self.parts.names)
        statistics, norm, self.measured = measured.split([len(measured) - 1 - parts, 1, parts])
        if self.target_kl is not None and statistics[-1].item() > 1.5 * self.target_kl:
            return statistics, None
        self.adam.steps += 1
        return statistics, norm[0]

    def norms(self) -> Tensor:
        return super().norms() if self.measured is None else self.measured

    def _inputs(self, batch: Minibatch, numbers: list[float]) -> list[Tensor]:
        """The inputs of the learning graph; numbers are passed as a tensor, since tracing would fix their values."""
        flat = self.adam.flat
        scalars = torch.tensor(numbers, pin_memory=flat.is_cuda).to(flat.device, non_blocking=True)
        samples = (batch.actions, batch.log_probs, batch.values, batch.advantages, batch.returns)
        rows = [] if batch.rows is None else [batch.rows]
        state = [flat, *self.adam.moments, scalars, self._nonces()]
        return [*state, *samples, *rows, *parts_of(batch.observations)]

    def _nonces(self) -> Tensor:
        """The nonces of all dropout layers; a mask depends on the layer's nonce and on the observation."""
        nonces = [part.nonce for part in self.network.dropouts]
        return torch.stack(nonces) if nonces else self.no_nonces

    def _network(
        self, parameters: Sequence[Tensor], nonces: Tensor, observations: Observation, rows: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Output, values and log_std of the network with the given parameters, which are in Adam's order."""
        index = {id(parameter): i for i, parameter in enumerate(self.adam.parameters)}
        named = {name: parameters[index[id(p)]] for name, p in self.network.named_parameters() if id(p) in index}
        places = {id(part.nonce): i for i, part in enumerate(self.network.dropouts)}
        named |= {name: nonces[places[id(b)]] for name, b in self.network.named_buffers() if id(b) in places}
        # SB3 registers one encoder under several names; with tie_weights=True functional_call restores it wrongly
        output, values = torch.func.functional_call(self.network, named, (observations, rows), tie_weights=False)
        log_std = named.get("policy.log_std")
        return output, values, log_std if log_std is None else self.policy.expand(log_std)  # type: ignore[operator]

    def _step(self, vectors: Sequence[Tensor], scalars: Tensor, nonces: Tensor, batch: Minibatch) -> Tensor:
        """`Update.__call__` as a function of tensors -> statistics, gradient norms; changes the vectors in place."""
        clip_range, clip_range_vf, *numbers = scalars.unbind()
        with torch.enable_grad():
            leaves = [view.detach().requires_grad_() for view in self.adam.views(vectors[0])]
            output, values, log_std = self._network(leaves, nonces, batch.observations, batch.rows)
            loss, statistics = self.loss(output, values, log_std, batch, clip_range, clip_range_vf)
            gradients = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
        gradient = self.adam.joined(gradients)
        norms = self.parts([gradient])
        norm = torch.linalg.vector_norm(norms)
        gradient = gradient * torch.clamp(self.max_grad_norm / (norm + 1e-6), max=1.0)
        after = self.adam.stepped(gradient, vectors, numbers)
        if self.target_kl is not None:
            allowed = ~(statistics[-1] > 1.5 * self.target_kl)
            after = [torch.where(allowed, new, old) for new, old in zip(after, vectors, strict=True)]
        for old, new in zip(vectors, after, strict=True):
            old.copy_(new)
        return torch.cat([statistics, norm[None], norms])


def parts_of(observations: Observation) -> list[Tensor]:
    return list(observations.values()) if isinstance(observations, dict) else [observations]


def observations_of(parts: Sequence[Tensor], keys: list[str] | None) -> Observation:
    return parts[0] if keys is None else dict(zip(keys, parts, strict=True))
