"""Policies in repositories of the Hugging Face Hub: `hub:owner/name`, or `hub:owner/name@revision`.

Three files are asked for by name, and no other. Their sizes are compared with limits before anything is downloaded. The
library keeps what it downloads in its own cache (HF_HOME), as links between folders, which no reader here follows: the
files are copied, and are then read like those of any folder from outside.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from agents.saved.schema import LARGEST_YAML
from agents.saved.tensors import FILE
from storage import manifest
from storage.reading import read_regular

PREFIX = "hub:"
LARGEST = {"policy.yaml": LARGEST_YAML, FILE: 2**27, manifest.NAME: manifest.LARGEST}  # bytes
NEEDED = ("policy.yaml", FILE)
WAITS = 10  # seconds for an answer


def is_on_hub(source: str | Path) -> bool:
    """Whether a source names a repository of the Hub."""
    return str(source).startswith(PREFIX)


def title(source: str) -> str:
    """A source as a part of a file's name: hub:owner/name@revision -> owner-name-revision."""
    return re.sub(r"[^\w.]+", "-", source.removeprefix(PREFIX))


def download(source: str, place: Path) -> None:
    """Put the files of a policy on the Hub into an empty folder; without a network, those that the cache holds.

    Raises:
        ValueError: it is no name of a repository, a file is too large, or `huggingface_hub` is not installed.
        FileNotFoundError: there is no such repository or revision, or no policy in it.
        ConnectionError: the Hub does not answer, and its cache does not hold the policy.
    """
    repository, at, revision = source.removeprefix(PREFIX).partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository) or (at and not revision):
        raise ValueError(f"{source!r} is not of the form hub:owner/name, or hub:owner/name@revision")
    try:
        from huggingface_hub import HfApi, errors
    except ImportError as error:
        raise ValueError(f'{source} needs the package huggingface_hub: pip install -e ".[hub]"') from error
    hub, problem = HfApi(endpoint=os.environ.get("HF_ENDPOINT")), ""  # which the library reads at its import only
    try:
        about = hub.model_info(repository, revision=revision or None, files_metadata=True, timeout=WAITS)
        names = _fitting(source, about)
    except errors.RevisionNotFoundError as error:
        raise FileNotFoundError(f"{source}: the repository has no revision {revision}") from error
    except errors.RepositoryNotFoundError as error:
        reason = "there is no such model repository, or it is private and asks for `hf auth login`"
        raise FileNotFoundError(f"{source}: {reason}") from error
    except (ValueError, FileNotFoundError):
        raise
    except Exception as error:  # the library's releases have different names for a Hub that does not answer
        names, problem = [*LARGEST], _first_line(error)
    for name in names:
        try:
            file = hub.hf_hub_download(repository, name, revision=revision or None, local_files_only=bool(problem))
        except Exception as error:
            if problem and name not in NEEDED:
                continue
            if isinstance(error, OSError) and error.errno is not None:  # of this machine, such as a full disk
                raise
            reason = f"{problem or _first_line(error)}), and its cache does not hold this policy"
            raise ConnectionError(f"{source}: the Hub does not answer ({reason}") from error
        (place / name).write_bytes(read_regular(Path(file).resolve(), LARGEST[name]))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _fitting(source: str, info: Any) -> list[str]:
    """The files that are to be downloaded, none of them too large."""
    sizes = {file.rfilename: file.size for file in info.siblings or ()}
    for name in NEEDED:
        if name not in sizes:
            raise FileNotFoundError(f"{source} holds no policy: it has no {name}")
    for name in LARGEST.keys() & sizes.keys():
        if sizes[name] is None or sizes[name] > LARGEST[name]:
            size = "an unknown number of" if sizes[name] is None else f"{sizes[name]:,}"
            raise ValueError(f"{source}: {name} has {size} bytes; at most {LARGEST[name]:,} are downloaded")
    return [name for name in LARGEST if name in sizes]
