"""moto's S3 server on loopback, as a program of its own, with a bucket to put files into."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

BUCKET = "bucket"
# Enough of a signature for moto, which checks none unless asked to.
SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=somebody/20260101/us-east-1/s3/aws4_request",
    "Content-Type": "application/octet-stream",
}


def program() -> str | None:
    """moto_server beside this Python or on the PATH; None where there is none."""
    return shutil.which("moto_server", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def request(method: str, url: str, data: bytes | None = None) -> None:
    asked = urllib.request.Request(url, data, SIGNED, method=method)
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=90).close()


def free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


class ObjectStore:
    """The server while it runs; `url` is its endpoint."""

    def __init__(self, log: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        moto = program()
        assert moto
        with log.open("wb") as out:
            command = [moto, "-H", "127.0.0.1", "-p", str(self.port)]
            self._process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        for _ in range(300):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            time.sleep(0.2)
        request("PUT", f"{self.url}/{BUCKET}")

    def put(self, name: str, content: bytes) -> None:
        request("PUT", f"{self.url}/{BUCKET}/{name}", content)

    def put_folder(self, folder: Path, name: str) -> None:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.put(f"{name}/{file.relative_to(folder).as_posix()}", file.read_bytes())

    def require_credentials(self, wanted: bool) -> None:
        """From now on answer only who has a known key, or anybody."""
        request("POST", f"{self.url}/moto-api/reset-auth", b"0" if wanted else b"1000000")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


@contextlib.contextmanager
def failing_after(port: int, answers: int) -> Iterator[str]:
    """The endpoint of a way to the server at `port` that is cut in the middle of answer number `answers`."""
    listening = socket.create_server(("127.0.0.1", 0))
    done = [0]

    def carry(source: socket.socket, sink: socket.socket, counts: bool) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(1 << 16):
                if counts and block.startswith(b"HTTP/"):
                    done[0] += 1
                if counts and done[0] >= answers:
                    sink.sendall(block[: len(block) // 2])
                    break
                sink.sendall(block)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                if done[0] >= answers:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", port))
                for pair in ((client, server, False), (server, client, True)):
                    threading.Thread(target=carry, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.close()
