"""moto's S3 server on loopback, as a program of its own, with a bucket to put files into."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from server_programs import free_port, program, request, started

BUCKET = "bucket"
# Enough of a signature for moto, which checks none unless asked to.
SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=somebody/20260101/us-east-1/s3/aws4_request",
    "Content-Type": "application/octet-stream",
}


PROGRAM = "moto_server"


def asked(method: str, url: str, data: bytes | None = None) -> None:
    request(method, url, data, SIGNED)


class ObjectStore:
    """The server while it runs; `url` is its endpoint."""

    def __init__(self, log: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process = started([program(PROGRAM), "-H", "127.0.0.1", "-p", str(self.port)], self.port, log)
        asked("PUT", f"{self.url}/{BUCKET}")

    def put(self, name: str, content: bytes) -> None:
        asked("PUT", f"{self.url}/{BUCKET}/{name}", content)

    def remove(self, name: str) -> None:
        asked("DELETE", f"{self.url}/{BUCKET}/{name}")

    def put_folder(self, folder: Path, name: str) -> None:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.put(f"{name}/{file.relative_to(folder).as_posix()}", file.read_bytes())

    def require_credentials(self, wanted: bool) -> None:
        """From now on answer only who has a known key, or anybody."""
        asked("POST", f"{self.url}/moto-api/reset-auth", b"0" if wanted else b"1000000")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


@contextlib.contextmanager
def failing_after(port: int, answers: int) -> Iterator[str]:
    """The endpoint of a way to the server at `port` that is cut in the middle of answer number `answers`."""
    done = [0]

    def cut(block: bytes) -> bytes | None:
        done[0] += block.startswith(b"HTTP/")
        return None if done[0] >= answers else block

    with way_to(port, cut) as url:
        yield url


@contextlib.contextmanager
def way_to(port: int, carried: Callable[[bytes], bytes | None]) -> Iterator[str]:
    """The endpoint of a way to the server at `port` that carries what `carried` makes of each answer.

    Where that is None half of the answer comes, and then the way is closed for good.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    is_closed = threading.Event()

    def carry(source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(1 << 16):
                passed = carried(block) if is_answer else block
                sink.sendall(block[: len(block) // 2] if passed is None else passed)
                if passed is None:
                    is_closed.set()
                    break
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                if is_closed.is_set():
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
