"""The parts of PyTorch that PyTorch does not promise to keep, in one place (checked on PyTorch 2.13).

A new release of PyTorch can break the functions of this file and no others. The compiler, `torch._dynamo` and
`torch._inductor`, takes long to import, so only the functions that compile import it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

__all__ = [  # tree_flatten and tree_map are as they are in PyTorch
    "DispatchMode",
    "compile_graph",
    "empty_compiler_cache",
    "graph_of",
    "is_any_length",
    "leave_the_compiler_alone",
    "scale_all",
    "traced",
    "tree_flatten",
    "tree_map",
]


def leave_the_compiler_alone() -> None:
    """Make optimizers without importing PyTorch's compiler: 1.1 of the 3.4 CPU seconds before a run's first step.

    PyTorch wraps some methods of optimizers so that they are never traced. At its first call each wrapper imports
    `torch._dynamo` (torch/_compile.py), 68 MiB. This project traces none of these methods, so each wrapper is told to
    call its method directly. If PyTorch wraps them in another way, this does nothing.
    """
    for method in vars(Optimizer).values():
        code = getattr(method, "__code__", None)
        if code is not None and code.co_filename.endswith("_compile.py"):
            plain = method.__wrapped__
            plain.__dict__.setdefault("__dynamo_disable", plain)


class DispatchMode(TorchDispatchMode):
    """A mode that sees every operation (PyTorch's documentation, "Extending PyTorch"), made without the compiler.

    PyTorch wraps `__torch_dispatch__` as it does the methods of optimizers, unless the class says that it need not be.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


def traced(tensor: Tensor) -> bool:
    """Whether the computation is being traced rather than run: shapes are known then, values are not."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing() or isinstance(tensor, FakeTensor)


def graph_of(
    function: Callable[..., Any], inputs: Sequence[Tensor], varying: Sequence[bool] = ()
) -> tuple[torch.fx.GraphModule, list[Tensor]]:
    """Trace a function down to ATen operations -> its graph, and the tensors without values that it was traced with.

    Args:
        function: takes tensors.
        inputs: tensors with the shapes, types and devices to trace with; their values are not read.
        varying: which inputs have a first axis of any length, the same length for all of them.

    Raises:
        Exception: the function depends on the values of its inputs.
    """
    from torch._dispatch.python import enable_python_dispatcher
    from torch._dynamo.source import ConstantSource
    from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

    fakes = FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True)

    def fake(tensor: Tensor, varies: bool) -> Tensor:
        axes = [DimDynamic.STATIC] * tensor.dim()
        if varies:
            axes[0] = DimDynamic.DUCK
        context: Any = StatelessSymbolicContext(dynamic_sizes=axes)
        return fakes.from_tensor(tensor, symbolic_context=context, source=ConstantSource(f"input{id(tensor)}"))

    like = [fake(*each) for each in zip(inputs, [*varying, *[False] * len(inputs)], strict=False)]
    with fakes, enable_python_dispatcher():
        return make_fx(function)(*like), like


def is_any_length(length: int | torch.SymInt) -> bool:
    """Whether tracing left a varying length open; a function that depends on the length fixes it to a number."""
    return isinstance(length, torch.SymInt) and length.node.maybe_as_int() is None


def compile_graph(graph: torch.fx.GraphModule, examples: list[Any]) -> Callable[..., Any]:
    """Compile a graph with TorchInductor for tensors like the examples.

    `torch.compile` would trace the graph again, and check at every call that the trace is still valid.
    """
    import torch._inductor

    return torch._inductor.compile(graph, examples)


def empty_compiler_cache() -> AbstractContextManager[Any]:
    """Within this context TorchInductor starts from an empty cache on disk, so compiling takes its full time."""
    from torch._inductor.utils import fresh_cache

    return fresh_cache()


def scale_all(tensors: list[Tensor], factor: float) -> None:
    """Multiply all tensors by a number, in place and in one call."""
    torch._foreach_mul_(tensors, factor)
