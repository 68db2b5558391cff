"""A run starts without importing PyTorch's compiler: a third of the CPU time before the first step, and 68 MiB."""

from __future__ import annotations

from torch.optim import Optimizer


def leave_the_compiler_alone() -> None:
    """Make optimizers without importing PyTorch's compiler, 1.1 of the 3.4 CPU seconds before a run's first step.

    PyTorch wraps some methods of optimizers so that they are never traced. At its first call each wrapper imports
    `torch._dynamo` (torch/_compile.py). Nothing here traces these methods, so each is called directly.
    `agents.ppo.compiled` still imports the compiler when it compiles. Another version of PyTorch, which wraps them
    otherwise, imports it as usual.
    """
    for method in vars(Optimizer).values():
        code = getattr(method, "__code__", None)
        if code is not None and code.co_filename.endswith("_compile.py"):
            plain = method.__wrapped__
            plain.__dict__.setdefault("__dynamo_disable", plain)
