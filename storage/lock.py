"""Locks that end with the process that holds them (`flock`), however it dies."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

UNABLE = (errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF, errno.ENOSYS)  # of file systems on a network


class Held(ValueError):
    """Another process holds a folder."""


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Hold a folder: the lock is the file `.<name>.lock` beside it, so the folder itself may be renamed or replaced.

    Raises:
        Held: another process holds it.
        OSError: the lock cannot be written.
    """
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    file = folder.with_name(f".{folder.name}.lock")
    try:
        lock = _taken(file)
    except BlockingIOError as error:
        owner = file.read_text() if file.exists() else ""
        named = f"process {owner}" if owner else "another process"
        raise Held(f"{folder} is in use: {named} is writing to it; wait until it ends, or stop it") from error
    try:
        yield
    finally:
        file.unlink(missing_ok=True)  # while it is held: whoever waits for it looks whether it is still there
        unlock(lock)


def _taken(file: Path) -> int | None:
    """The lock on a file, which is made."""
    while True:
        file.touch()
        try:
            lock = locked(file)
        except FileNotFoundError:  # its owner has just ended
            continue
        if lock is None or _is_still(file, lock):
            try:
                file.write_text(str(os.getpid()))
            except OSError:  # a full disk
                unlock(lock)
                raise
            return lock
        unlock(lock)


def _is_still(file: Path, lock: int) -> bool:
    """Whether the locked file is the one of that name, and not one that its last owner has removed."""
    try:
        return os.path.samestat(os.fstat(lock), file.stat())
    except FileNotFoundError:
        return False


def locked(path: Path, wait: bool = False) -> int | None:
    """An exclusive lock on a file or folder, for `unlock`; None where the system has no such locks.

    Raises:
        BlockingIOError: somebody else has it, and `wait` is false.
        OSError: there is no such file.
    """
    if fcntl is None:
        return None
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        os.close(descriptor)
        if error.errno in UNABLE:
            return None
        raise
    return descriptor


def unlock(lock: int | None) -> None:
    """End a lock of `locked`."""
    if lock is not None:
        os.close(lock)
