"""A headless Chromium driven through its debugging pipe: what a page logs, loads and computes."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required", "--remote-debugging-pipe",
)  # fmt: skip

MARGIN = 12


def executable() -> str | None:
    """The browser on this machine, None where there is none."""
    return next((found for found in map(shutil.which, NAMES) if found), None)


class Browser:
    """One tab. `messages` holds console messages and errors, `requests` every address asked for."""

    def __init__(self, width: int = 1200) -> None:
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_browser, from_browser = os.pipe(), os.pipe()
        path = executable()
        assert path is not None
        # The browser reads commands from descriptor 3 and answers on 4.
        script = f'exec "$@" 3<&{to_browser[0]} 4>&{from_browser[1]}'
        command = [path, *FLAGS, f"--window-size={width},900", f"--user-data-dir={self.profile.name}"]
        self.process = subprocess.Popen(
            ["bash", "-c", script, "browser", *command, "about:blank"],
            pass_fds=(to_browser[0], from_browser[1]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser[0])
        os.close(from_browser[1])
        self.writer, self.reader = os.fdopen(to_browser[1], "wb"), os.fdopen(from_browser[0], "rb")
        self.rest, self.count = b"", 0
        self.session: str | None = None
        self.messages: list[str] = []
        self.requests: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait(20)
        self.writer.close()
        self.reader.close()
        self.profile.cleanup()

    def open(self, path: Path) -> None:
        """Load a file and wait until all of it is there."""
        self.send("Page.navigate", url=path.resolve().as_uri())
        while self._next().get("method") != "Page.loadEventFired":
            pass

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page, promises awaited."""
        answer = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def headings(self) -> list[str]:
        """Those of the sections, from top to bottom."""
        found: list[str] = self.evaluate(
            "[...document.querySelectorAll('section > h2')].map((h) => h.textContent)"
        )
        return found

    def picture(self, heading: str) -> bytes:
        """A PNG of the whole section with this heading, whatever the window shows, and MARGIN px more."""
        # In a window as high as the page: a scroll bar would go only when the picture is taken, everything
        # move to the right, and the right edge be cut.
        width, height = self.evaluate("[innerWidth, document.documentElement.scrollHeight]")
        whole = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **whole)
        left, top, right, bottom = self.evaluate(
            f"""(() => {{ const at = [...document.querySelectorAll('section > h2')].find(
            (h) => h.textContent === {json.dumps(heading)}).parentElement.getBoundingClientRect();
            return [at.left, at.top, at.right, at.bottom]; }})()"""
        )
        size = {"width": right - left + 2 * MARGIN, "height": bottom - top + MARGIN}
        clip = {"x": left - MARGIN, "y": top, **size, "scale": 1}
        shot = self.send("Page.captureScreenshot", format="png", clip=clip)
        self.send("Emulation.clearDeviceMetricsOverride")
        return base64.b64decode(shot["data"])

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give a command and wait for its answer."""
        self.count += 1
        command = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            command["sessionId"] = self.session
        self.writer.write(json.dumps(command).encode() + b"\0")
        self.writer.flush()
        while (answer := self._next()).get("id") != self.count:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            received = os.read(self.reader.fileno(), 1 << 16)
            assert received, "the browser ended"
            self.rest += received
        message, _, self.rest = self.rest.partition(b"\0")
        event: dict[str, Any] = json.loads(message)
        self._note(event.get("method", ""), event.get("params", {}))
        return event

    def _note(self, method: str, about: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"][:200])
        elif method == "Log.entryAdded":
            self.messages.append(about["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.messages.append(str(about["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.messages.append(str(about["args"]))


def check_quiet(browser: Browser) -> None:
    """The page complained of nothing, and loaded nothing but itself."""
    assert browser.messages == []
    assert all(address.startswith(("file:", "data:")) for address in browser.requests)


KEYS = {
    "Tab": 9,
    "Enter": 13,
    "Escape": 27,
    " ": 32,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
}
WAIT = "new Promise((done) => setTimeout(done, 80))"


def press(browser: Browser, key: str) -> None:
    """Press and release one of KEYS, and wait until the page has answered."""
    about = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
    text = {"text": "\r"} if key == "Enter" else {}
    browser.send("Input.dispatchKeyEvent", type="keyDown", **about, **text)
    browser.send("Input.dispatchKeyEvent", type="keyUp", **about)
    browser.evaluate(WAIT)
