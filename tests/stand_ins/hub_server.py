"""A data set at Hugging Face as its own client sees it: the three answers that reading files needs."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

REPOSITORY = "owner/name"
TOKEN = "hf_known"


class HubServer:
    """The files of one data set, {name: content}; where `is_private` only for who has the token."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.claimed: dict[str, int] = {}  # sizes that are wrong, by name
        self.is_private = False
        self.url = ""

    def put_folder(self, folder: Path, name: str) -> None:
        for file in folder.rglob("*"):
            if file.is_file():
                self.files[f"{name}/{file.relative_to(folder).as_posix()}"] = file.read_bytes()

    def answer(self, path: str, token: str) -> tuple[int, str, bytes]:
        """(status, error code, body) of what is asked for."""
        about, content = f"/api/datasets/{REPOSITORY}", f"/datasets/{REPOSITORY}/resolve/main/"
        if self.is_private and token != f"Bearer {TOKEN}":
            return 401, "RepoNotFound", b""
        if path in (about, f"{about}/revision/main"):
            said = {"id": REPOSITORY, "sha": "0" * 40, "siblings": [], "private": self.is_private}
            return 200, "", json.dumps(said).encode()
        if path.startswith(f"{about}/tree/main/"):
            found = list(self._below(path.removeprefix(f"{about}/tree/main/")))
            return (200, "", json.dumps(found).encode()) if found else (404, "EntryNotFound", b"")
        if path.startswith(content) and path.removeprefix(content) in self.files:
            return 200, "", self.files[path.removeprefix(content)]
        is_here = path.startswith((f"{about}/", content))
        return 404, "EntryNotFound" if is_here else "RepoNotFound", b""

    def _below(self, root: str) -> Iterator[dict[str, object]]:
        for name, content in self.files.items():
            if name.startswith(f"{root}/"):
                size = self.claimed.get(name, len(content))
                oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
                yield {"type": "file", "oid": oid, "size": size, "path": name}


@contextmanager
def hub() -> Iterator[HubServer]:
    """The server, answering on loopback while the block lasts."""
    kept = HubServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            status, code, body = kept.answer(path, self.headers.get("Authorization", ""))
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
