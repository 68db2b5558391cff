"""A real browser without a window: Chromium, spoken to through two pipes.

Chrome DevTools Protocol, https://chromedevtools.github.io/devtools-protocol: JSON messages that end in a
zero byte.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--remote-debugging-pipe", "--hide-scrollbars"),
)
# Chromium reads commands from descriptor 3 and answers through 4
START = (
    "import os; from sys import argv; os.dup2(int(argv[1]), 3); os.dup2(int(argv[2]), 4); os.execv(argv[3], argv[3:])"
)
KEYS = {"Enter": ("\r", 13), "Tab": ("\t", 9), " ": (" ", 32)}


def chromium() -> str | None:
    """Where Chromium or Chrome is installed; None if it is not."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((found for name in names if (found := shutil.which(name))), None)


class Page:
    """An open page.

    Attributes:
        requests: what it has asked the network for.
        errors: what its console has complained of.
    """

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._to, self._from = to_browser, from_browser
        self._unread, self._sent, self._session = b"", 0, None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; what is reported in the meantime is kept."""
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._sent:
            self._note(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def open(self, file: Path, width: int = 1200, height: int = 900, scheme: str = "light") -> None:
        """Open a file in a window of this size, for a reader who prefers this scheme; returns when it is loaded."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.send("Page.navigate", url=file.resolve().as_uri())
        deadline = time.monotonic() + 60
        while not self.value("location.protocol === 'file:' && document.readyState === 'complete'"):
            assert time.monotonic() < deadline, f"{file} does not load"

    def value(self, expression: str) -> Any:
        """The value of a JavaScript expression, as JSON has it."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def place(self, selector: str, across: float = 0.5, down: float = 0.5) -> tuple[float, float]:
        """Where in the window a point of an element lies, after scrolling to it."""
        box = self.value(
            f"(e => {{ e.scrollIntoView({{block: 'center', behavior: 'instant'}}); const r = e.getBoundingClientRect();"
            f" return [r.left + {across} * r.width, r.top + {down} * r.height] }})"
            f"(document.querySelector({json.dumps(selector)}))"
        )
        return box[0], box[1]

    def hover(self, selector: str, across: float = 0.5, down: float = 0.5) -> None:
        """Move the pointer over a point of an element."""
        x, y = self.place(selector, across, down)
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, selector: str) -> None:
        """Press the left button over the middle of an element."""
        x, y = self.place(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """Press a key."""
        text, code = KEYS[key]
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if kind == "keyDown" else {}
            self.send("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **more)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            assert select.select([self._from], [], [], 60)[0], "the browser does not answer"
            read = os.read(self._from, 1 << 16)
            assert read, "the browser has ended"
            self._unread += read
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)

    def _note(self, report: dict[str, Any]) -> None:
        method, said = report.get("method"), report.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(str(said["exceptionDetails"].get("exception", said["exceptionDetails"])))
        elif method == "Log.entryAdded":
            self.errors.append(said["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
            self.errors.append(str(said["args"]))


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """A page of a browser of its own, whose profile is an empty folder; it ends with the block."""
    program = chromium()
    assert program
    commands, to_browser = (_high(end) for end in os.pipe())
    from_browser, answers = (_high(end) for end in os.pipe())
    process = subprocess.Popen(
        [sys.executable, "-c", START, str(commands), str(answers), program, *FLAGS, f"--user-data-dir={profile}"],
        pass_fds=(commands, answers),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in (commands, answers):
        os.close(end)
    try:
        yield Page(to_browser, from_browser)
    finally:
        for end in (to_browser, from_browser):
            os.close(end)
        process.kill()
        process.wait()


def _high(descriptor: int) -> int:
    """The same pipe under a number above 4, where Chromium's do not hide it."""
    high = fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10)
    os.close(descriptor)
    return high
