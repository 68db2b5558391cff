"""Zip files, checked before anything in them is read, and the parts of an SB3 zip that are read: data and policy.pth.

Nothing is unpacked into a folder. Members must be stored as they are, as SB3 and torch write them: then a member has as
many bytes as it declares, and a small file cannot ask for much memory.
"""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any

from storage.plain import from_json

MEMBERS = 20_000
VALUES = 200_000  # in `data`, which has some hundreds


class Archive:
    """The members of a zip file by name.

    Raises:
        ValueError: it is no zip file, is damaged, or has a member that is compressed, encrypted, there twice, or whose
            name leaves the folder.
    """

    def __init__(self, content: bytes):
        # every member has this mark in the directory, which is read whole
        if content.count(b"PK\x01\x02") > MEMBERS:
            raise ValueError(f"it has more than {MEMBERS:,} members")
        try:
            self.file = zipfile.ZipFile(BytesIO(content))
            members = self.file.infolist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError) as error:
            raise ValueError("it is not a zip file, or is damaged") from error
        self.members = {member.filename: member for member in members}
        if len(self.members) < len(members):
            raise ValueError("two of its members have one name")
        for member in members:
            path = PurePosixPath(member.filename)
            if path.is_absolute() or ".." in path.parts or "\\" in member.filename or ":" in member.filename:
                raise ValueError(f"the name of its member {member.filename!r:.100} leaves the folder")
            if member.flag_bits & 1:
                raise ValueError(f"its member {member.filename:.100} is encrypted")
            if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
                raise ValueError(
                    f"its member {member.filename:.100} is compressed, and SB3 stores members as they are (zip -0)"
                )
            if member.file_size > len(content):
                raise ValueError(f"its member {member.filename:.100} is damaged: it declares more bytes than there are")

    def __contains__(self, name: str) -> bool:
        return name in self.members

    def read(self, name: str) -> bytes:
        """The content of a member.

        Raises:
            ValueError: it is missing or damaged.
        """
        if name not in self.members:
            raise ValueError(f"it has no member {name!r}")
        try:
            return self.file.read(self.members[name])
        except (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise ValueError(f"its member {name:.100} is damaged") from error


def read_parts(file: bytes) -> tuple[dict[str, Any], bytes, str | None]:
    """The plain data of an SB3 zip, its policy.pth, and the version of SB3 that wrote it, if it says so.

    Where the data holds a pickle, as base64 text under ":serialized:", the pickle is left out.

    Raises:
        ValueError: it is not the zip of an SB3 model, or is damaged.
    """
    archive = Archive(file)
    missing = [name for name in ("data", "policy.pth") if name not in archive]
    if missing:
        raise ValueError(f"it is not a model saved by Stable-Baselines3: it has no member {missing[0]!r}")
    content = archive.read("data")
    if sum(content.count(mark) for mark in (b",", b"[", b"{")) > VALUES:  # none of which is in base64 text
        raise ValueError(f"its member data has more than {VALUES:,} values")
    try:
        data = from_json(content)
    except ValueError as error:
        raise ValueError("its member data is not JSON, or is damaged") from error
    if not isinstance(data, dict):
        raise ValueError("its member data is not a JSON object")
    for value in data.values():
        if isinstance(value, dict):
            value.pop(":serialized:", None)
    version = None
    if "_stable_baselines3_version" in archive:
        version = archive.read("_stable_baselines3_version")[:40].decode(errors="replace").strip()
    return data, archive.read("policy.pth"), version
