"""Reading files from outside: regular ones, in their folder, up to a size."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class ReadError(ValueError):
    """A file that is not to be read."""


def read_regular(file: Path, most: int) -> bytes:
    """The content of a regular file of up to `most` bytes; neither a pipe nor a device is waited for.

    A symbolic link may lead to another file below the folder that the link is in, and nowhere else.

    Raises:
        FileNotFoundError: there is no such file.
        ReadError: it is no regular file, leaves its folder, is too large, or cannot be read.
    """
    try:
        real = file.resolve(strict=True)
        if file.is_symlink() and not real.is_relative_to(file.parent.resolve()):
            raise ReadError(f"{file} is a link out of its folder, and was not read")
        descriptor = os.open(real, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ReadError(f"{file} is not a regular file, and was not read")
            content = stream.read(most + 1) if status.st_size <= most else b""
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: links that lead in a circle
        if isinstance(error, ReadError):
            raise
        raise ReadError(f"{file} cannot be read: {error}") from error
    if status.st_size > most or len(content) > most:
        raise ReadError(f"{file} has {status.st_size:,} bytes; at most {most:,} are read")
    return content
