"""Folders that are replaced as a whole: a reader finds the old content or the new one, never a mixture."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yields a folder in which to write the new version; it replaces `folder` when the block ends without error.

    The new version is written beside the old one, synced and renamed. A rename cannot replace a folder that has files
    in it, so for a moment the old version is called `.<name>.old`; `existing` finds it there after a crash.
    """
    new, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    try:
        yield new
        for path in (*new.iterdir(), new):
            sync(path)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    new.rename(folder)
    sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def existing(folder: Path) -> Path:
    """`folder`, or its previous version if a crash came between the two renames of `replacing`."""
    old = folder.with_name(f".{folder.name}.old")
    return old if not folder.exists() and old.exists() else folder


def sync(path: Path) -> None:
    """Make the operating system write a file, or a folder's entries, to the disk now."""
    if os.name == "nt" and path.is_dir():  # Windows cannot open a folder, and needs no sync of its entries
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
