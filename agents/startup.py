"""What a run need not wait for before its first step."""

from __future__ import annotations

from torch.optim import Optimizer


def leave_the_compiler_alone() -> None:
    """Let optimizers be made without importing PyTorch's compiler, which takes 2 of the 4 seconds that a run starts in.

    Some of their methods are marked as not to be traced, and at its first call each imports `torch._dynamo` to say so
    (torch/_compile.py). Nothing here traces them, so each is called as it is. `agents.ppo.compiled` imports the
    compiler where it compiles; another PyTorch, which marks them otherwise, imports it as ever.
    """
    for method in vars(Optimizer).values():
        code = getattr(method, "__code__", None)
        if code is not None and code.co_filename.endswith("_compile.py"):
            plain = method.__wrapped__
            plain.__dict__.setdefault("__dynamo_disable", plain)
