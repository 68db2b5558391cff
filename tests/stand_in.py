"""A Hub of files on this machine: an HTTP server with the paths and headers of huggingface.co."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlparse


class Hub(ThreadingHTTPServer):
    """Serves the model repositories below a folder: <root>/<owner>/<name>/<revision>/<file>.

    Attributes:
        asked: method and path of every request.
        sizes: what it says of sizes of files that it is asked about, where that is not the truth.
    """

    def __init__(self, root: Path):
        super().__init__(("127.0.0.1", 0), Answers)
        self.root, self.asked, self.sizes = root, list[str](), dict[str, int]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    """Answers of the Hub: about a repository, and with a file of it."""

    server: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *args: Any) -> None:
        pass

    def _answer(self) -> None:
        path = unquote(urlparse(self.path).path)
        self.server.asked.append(f"{self.command} {path}")
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            owner, name, *rest = parts[2:]
            self._about(owner, name, rest[1] if rest else "main")
        elif parts[2:3] == ["resolve"]:
            owner, name, _, revision, *file = parts
            self._file(owner, name, revision, "/".join(file))
        else:
            self._send(404, b"", {})

    def _folder(self, owner: str, name: str, revision: str) -> Path | None:
        repository = self.server.root / owner / name
        if not repository.is_dir():
            self._send(404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"})
            return None
        for folder in repository.iterdir():
            if revision in (folder.name, commit(folder)):
                return folder
        self._send(404, b'{"error": "Invalid rev id"}', {"X-Error-Code": "RevisionNotFound"})
        return None

    def _about(self, owner: str, name: str, revision: str) -> None:
        folder = self._folder(owner, name, revision)
        if folder is not None:
            files = [file for file in sorted(folder.iterdir()) if file.is_file()]
            sizes = {file.name: self.server.sizes.get(file.name, file.stat().st_size) for file in files}
            siblings = [{"rfilename": file, "size": size, "blobId": "0" * 40} for file, size in sizes.items()]
            about = {"id": f"{owner}/{name}", "sha": commit(folder), "siblings": siblings}
            self._send(200, json.dumps(about).encode(), {"Content-Type": "application/json"})

    def _file(self, owner: str, name: str, revision: str, file: str) -> None:
        folder = self._folder(owner, name, revision)
        if folder is None:
            return
        if not (folder / file).is_file():
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
        content = (folder / file).read_bytes()
        self._send(200, content, {"ETag": f'"{sha1(content).hexdigest()}"', "X-Repo-Commit": commit(folder)})

    def _send(self, code: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


def commit(folder: Path) -> str:
    """The name of a revision's commit: a hash of what it holds."""
    digest = sha1(folder.name.encode())
    for file in sorted(folder.iterdir()):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


@contextmanager
def serving(root: Path) -> Iterator[Hub]:
    """A Hub that answers until the block ends."""
    hub = Hub(root)
    thread = Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
