"""Files and folders that are written whole or not at all, whenever their writer dies.

The new content is written into `.<name>.<random>.unfinished` beside its place, synced to the disk and renamed; then the
folder that holds it is synced. A writer holds a lock on its unfinished folder. The lock ends with its process, so the
next writer knows which unfinished folders nobody will finish, and removes them.

A rename cannot replace a folder that has files in it. The old folder is called `.<name>.old` for the moment between two
renames, and `newest` finds it there after a crash.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.lock import locked, unlock
from storage.manifest import damage, write_manifest

log = logging.getLogger(__name__)

UNFINISHED = ".unfinished"
FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


class DiskFull(OSError):
    """There is no space left on a disk; the message says where, how much is free, and what to do."""


def write_file(file: Path, content: bytes | str) -> None:
    """Replace a file, or make it; its folder is made if it is missing.

    Raises:
        OSError: it cannot be written; what was there before is still there.
    """
    with _beside(file) as unfinished:
        new = unfinished / file.name
        new.write_bytes(content.encode() if isinstance(content, str) else content)
        sync(new)
        os.replace(new, file)
        sync(file.parent)


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yields an empty folder for the new version of `folder`, which it replaces when the block ends without error.

    A manifest of its files is added (`storage.manifest`).

    Raises:
        OSError: it cannot be written; what was there before is still there.
    """
    with _beside(folder) as unfinished:
        new, old = unfinished / folder.name, _old(folder)
        new.mkdir()
        yield new
        write_manifest(new)
        for path in (*new.rglob("*"), new):
            sync(path)
        lock = locked(folder.parent, wait=True)  # of the renames, against another writer of the same folder
        try:
            if folder.exists():
                shutil.rmtree(old, ignore_errors=True)
                os.rename(folder, old)
            os.rename(new, folder)
            sync(folder.parent)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            unlock(lock)


def newest(folder: Path) -> Path:
    """The newest complete version of a folder: itself, or the one before if a writer died between two renames.

    It is `folder` if there is no complete version at all. Reading the version before is logged as a warning.
    """
    old = _old(folder)
    if not old.is_dir() or damage(old):
        return folder
    problem = damage(folder) if folder.is_dir() else "it is missing"
    if problem is None:
        return folder
    log.warning("%s cannot be read (%s); the version before it is read instead: %s", folder, problem, old)
    return old


@contextmanager
def naming_a_full_disk(folder: Path) -> Iterator[None]:
    """Within this block, whatever does not fit on the disk of `folder` raises `DiskFull`."""
    try:
        yield
    except DiskFull:
        raise
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise _disk_full(error, Path(error.filename or folder)) from error


def _disk_full(error: OSError, place: Path, needed: str = "") -> DiskFull:
    disk = next(parent for parent in (place, *place.absolute().parents) if parent.is_dir())
    return DiskFull(
        error.errno,
        f"the disk is full: {place} cannot be written ({needed}{shutil.disk_usage(disk).free:,} bytes are free). What "
        "was saved before is intact; free some space on this disk, then give the same command again",
    )


def _size(path: Path) -> int:
    """The bytes of a file, or of all files in a folder; 0 if there is nothing."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def sync(path: Path) -> None:
    """Make the operating system write a file, or a folder's entries, to the disk now."""
    if os.name == "nt" and path.is_dir():  # Windows cannot open a folder, and needs no sync of its entries
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _beside(place: Path) -> Iterator[Path]:
    """Yields an empty folder beside `place` in which to write it; those of dead processes are removed.

    Raises:
        OSError: it cannot be written; on a full disk, the message says what to do.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    for left in place.parent.glob(f".*{UNFINISHED}"):
        _remove_if_abandoned(left)
    unfinished, lock = _unfinished(place)
    try:
        yield unfinished
    except OSError as error:
        if error.errno not in FULL:
            raise
        needed = max(_size(unfinished), _size(place))
        shutil.rmtree(unfinished, ignore_errors=True)
        raise _disk_full(error, place, f"it needs more than {needed:,} bytes, and ") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        unlock(lock)


def _unfinished(place: Path) -> tuple[Path, int | None]:
    """A new folder and its lock."""
    while True:
        made = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}.", suffix=UNFINISHED))
        try:
            lock = locked(made)
        except (BlockingIOError, FileNotFoundError):  # another writer took it for one of a dead process
            continue
        if made.exists():
            return made, lock
        unlock(lock)


def _remove_if_abandoned(unfinished: Path) -> None:
    try:
        lock = locked(unfinished)
    except OSError:  # its writer lives, or has just finished
        return
    if lock is not None:
        shutil.rmtree(unfinished, ignore_errors=True)
        unlock(lock)


def _old(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")
