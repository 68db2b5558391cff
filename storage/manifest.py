"""`manifest.json`: the size and SHA-256 of every file in a folder.

    {"format": 1, "files": {"policy.yaml": {"bytes": 1153, "sha256": "0e5c..."}, ...}}

Files that it does not name may lie beside those that it does. A folder without a manifest is taken as it is.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from storage.reading import ReadError, read_regular

NAME = "manifest.json"
FORMAT = 1
LARGEST = 1_000_000  # bytes of a manifest
MOST = 1000  # files
PIECE = 1 << 20  # bytes read at once


def write_manifest(folder: Path) -> None:
    """Write the manifest of what a folder holds."""
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": checksum(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    (folder / NAME).write_text(json.dumps({"format": FORMAT, "files": files}, indent=1) + "\n")


def checksum(file: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    digest = sha256()
    with file.open("rb") as stream:
        while piece := stream.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def read_manifest(folder: Path) -> dict[str, tuple[int, str]] | None:
    """Size and checksum by name of file; None if the folder has no manifest.

    Raises:
        ReadError: the manifest is damaged, or of a newer format.
    """
    file = folder / NAME
    if not file.exists() and not file.is_symlink():
        return None
    try:
        data = json.loads(read_regular(file, LARGEST))
    except (ValueError, RecursionError) as error:
        raise ReadError(f"{file} is damaged: {error}") from error
    if not isinstance(data, dict) or type(data.get("format")) is not int or data["format"] < 1:
        raise ReadError(f"{file} is damaged: it states no format")
    if data["format"] > FORMAT:
        raise ReadError(f"{file} has format {data['format']}, this version reads up to {FORMAT}; update inductive-rl")
    files = data.get("files")
    if not isinstance(files, dict) or len(files) > MOST or not all(_is_entry(*each) for each in files.items()):
        raise ReadError(f"{file} is damaged: files is a size and a sha256 for each name within the folder")
    return {name: (entry["bytes"], entry["sha256"]) for name, entry in files.items()}


def _is_entry(name: str, entry: Any) -> bool:
    path = PurePosixPath(name)
    inside = bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name
    return (
        inside
        and isinstance(entry, dict)
        and type(entry.get("bytes")) is int
        and entry["bytes"] >= 0
        and isinstance(entry.get("sha256"), str)
    )


def damage(folder: Path) -> str | None:
    """What a folder lacks of the files in its manifest, or which was altered; None if it is complete."""
    try:
        for name, (size, digest) in (read_manifest(folder) or {}).items():
            file = folder / name
            if not file.is_file():
                return f"{name} is missing"
            if file.stat().st_size != size or checksum(file) != digest:
                return f"{name} was altered"
    except (ReadError, OSError) as error:
        return str(error)
    return None


def read_checked(folder: Path, name: str, most: int) -> bytes:
    """The content of a file, as the folder's manifest has it.

    Args:
        most: bytes that the file may have.

    Raises:
        FileNotFoundError: there is no such file.
        ReadError: it is not a regular file of the folder, is too large, or differs from the manifest.
    """
    expected = (read_manifest(folder) or {}).get(name)
    content = read_regular(folder / name, most)
    if expected is not None and (len(content), sha256(content).hexdigest()) != expected:
        raise ReadError(
            f"{folder / name} is damaged: it is not what {NAME} says was written; if you changed it yourself, "
            f"remove {NAME}"
        )
    return content
