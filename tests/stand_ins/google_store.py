"""gcp-storage-emulator on loopback, as a program of its own, and an account that may use it."""

import json
from pathlib import Path
from urllib.parse import quote

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from server_programs import free_port, program, request, started

BUCKET = "bucket"
PROGRAM = "gcp-storage-emulator"


class GoogleStore:
    """The server while it runs; `url` is its endpoint."""

    def __init__(self, log: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [program(PROGRAM), "start", "-H", "127.0.0.1", "--port", str(port), "--in-memory"]
        self._process = started([*command, "--default-bucket", BUCKET], port, log)

    def put(self, name: str, content: bytes) -> None:
        url = f"{self.url}/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={quote(name, safe='')}"
        request("POST", url, content, {"Content-Type": "application/octet-stream"})

    def put_folder(self, folder: Path, name: str) -> None:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.put(f"{name}/{file.relative_to(folder).as_posix()}", file.read_bytes())

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


def write_account(file: Path) -> None:
    """Credentials as Google gives them to a program: with its key the client signs what it asks."""
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {"type": "service_account", "project_id": "project", "private_key_id": "1", "client_id": "1"}
    account |= {"client_email": "somebody@example.com", "private_key": key.decode()}
    file.write_text(json.dumps(account | {"token_uri": "http://127.0.0.1:1/token"}))
