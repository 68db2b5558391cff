"""numba's decorators with a cache that any edit of the engine outdates.

numba keeps compiled functions on disk, and compiles a function again when its own file changes. It does not look at
the files of the functions that are called, so code spread over several files could go on with stale parts. Here the
cache is in a folder named after a digest of all sources of the engine.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
from numba.core.types import unliteral

log = logging.getLogger(__name__)

OPTIONS: dict[str, Any] = {"cache": True, "error_model": "numpy", "nogil": True}


@cache
def folder() -> str:
    """The folder of compiled code that belongs to the present sources."""
    here = Path(__file__).parent
    sources = sorted(here.rglob("*.py"))
    digest = sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    chosen = numba.config.CACHE_DIR  # type: ignore[attr-defined]  # $NUMBA_CACHE_DIR
    return str(Path(chosen or here / "__pycache__") / f"compiled-{digest}")


@contextmanager
def _cached() -> Iterator[None]:
    before = numba.config.CACHE_DIR  # type: ignore[attr-defined]
    place = folder()
    numba.config.CACHE_DIR = place  # type: ignore[attr-defined]
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before  # type: ignore[attr-defined]


def njit(function: Callable[..., Any]) -> Any:
    """`numba.njit`, without the interpreter's lock and without tests before a division.

    numba would compile the function again for every constant that compiled code calls it with; here it does so only
    for other types.
    """
    with _cached():
        compiled = numba.njit(**OPTIONS)(function)
    template_of = compiled.get_call_template

    def template_of_types(args: Any, kws: Any) -> Any:
        return template_of([unliteral(arg) for arg in args], {name: unliteral(arg) for name, arg in kws.items()})

    compiled.get_call_template = template_of_types
    return compiled


@cache
def callback(signature: Any, function: Callable[..., Any]) -> Any:
    """`numba.cfunc`: the compiled form of a function, which can be an argument of compiled code."""
    with _cached():
        return numba.cfunc(signature, cache=True, error_model="numpy")(function)


@cache
def announce(function: Any, what: str, seconds: int) -> None:
    """Warn that a function is about to be compiled, unless numba's cache has it."""
    own = function.py_func
    name = f"{own.__module__.rpartition('.')[2]}.{own.__qualname__}"
    if not function.signatures and not any(Path(str(function.stats.cache_path)).glob(f"{name}-*.nbi")):
        log.warning("compiling %s, once (about %s s; `python -m envs.engine` does it in advance)", what, seconds)
