"""Reading files from outside: regular ones, in their folder, up to a size."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO


class ReadError(ValueError):
    """A file that is not to be read."""


def read_regular(file: Path, most: int) -> bytes:
    """The content of a regular file of up to `most` bytes (`open_regular`).

    Raises:
        FileNotFoundError: there is no such file.
        ReadError: it is no regular file, leaves its folder, is too large, or cannot be read.
    """
    with open_regular(file) as stream:
        size = size_of(stream)
        content = stream.read(most + 1) if size <= most else b""
    if max(size, len(content)) > most:
        raise ReadError(f"{file} has {size:,} bytes; at most {most:,} are read")
    return content


def open_regular(file: Path) -> BinaryIO:
    """A regular file, open to be read; neither a pipe nor a device is waited for.

    A symbolic link may lead to another file below the folder that the link is in, and nowhere else.

    Raises:
        FileNotFoundError: there is no such file.
        ReadError: it is no regular file, leaves its folder, or cannot be read.
    """
    try:
        real = file.resolve(strict=True)
        inside = not file.is_symlink() or real.is_relative_to(file.parent.resolve())
        if not inside or not stat.S_ISREG(real.stat().st_mode):
            what = "a regular file" if inside else "in its folder, but a link to elsewhere"
            raise ReadError(f"{file} is not {what}, and was not read")
        return open(os.open(real, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb")
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError) as error:  # RuntimeError: links that lead in a circle
        raise ReadError(f"{file} cannot be read: {error}") from error


def size_of(stream: BinaryIO) -> int:
    """The size of an open file in bytes."""
    return os.fstat(stream.fileno()).st_size
