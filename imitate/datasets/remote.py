"""Stores at s3://, gs:// and hf://, read from a verified copy in a folder of this machine.

Reading a store maps files, checks every chunk before it is decoded, and comes back to each of them in every
epoch, so a whole copy is made once: its folder is named by a hash of the names, sizes and versions of all
remote files, and appears only when each of them has come whole. A command that is interrupted leaves the
files it has, and the next one goes on with the rest. A store that has grown is another copy.
"""

import hashlib
import json
import os
import re
import time
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import astuple, dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

from imitate.datasets.durable import only_one
from imitate.errors import DataError, ImitateError, import_extra, nearest
from imitate.progress import SILENT, Progress, Task

CACHE = "IMITATE_CACHE"
"""The environment variable that names the folder of the copies; ~/.cache/imitate without it."""
SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):/{1,3}(?=[^/])")
SCHEMES = ("s3", "gs", "hf", "file")
CONNECT_S, READ_S, ATTEMPTS = 10.0, 30.0, 3
BLOCK = 4 * 2**20
QUIET_S = 2.0
"""Copies that take longer are shown, in seconds."""
MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class RemoteFile:
    """A file: name below the root, "" for the root itself; bytes; a word that changes with its content."""

    name: str
    size: int
    version: str


class Remote(Protocol):
    """A file system of another machine; both methods raise whatever its library raises."""

    def files(self, root: str) -> list[RemoteFile]:
        """All files at or below `root`; none where there is nothing."""

    def open(self, path: str) -> tuple[IO[bytes], str]:
        """A file for reading once, and its MD5 or another tag that the server gives with it, "" for none."""


@dataclass(frozen=True)
class Arrow:
    """S3 and Google Cloud Storage, by pyarrow: credentials come from where their own tools take them."""

    system: Any

    @classmethod
    def of(cls, scheme: str) -> "Arrow":
        """The file system of s3:// or gs://."""
        fs = import_extra("pyarrow.fs", "remote")
        if scheme == "gs":
            # Without a limit it tries for a quarter of an hour.
            return cls(fs.GcsFileSystem(retry_time_limit=timedelta(seconds=READ_S)))
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        return cls(
            fs.S3FileSystem(
                connect_timeout=CONNECT_S,
                request_timeout=READ_S,
                retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
                endpoint_override=endpoint,
            )
        )

    def files(self, root: str) -> list[RemoteFile]:
        """One listing of all; the version is the time of change."""
        fs = import_extra("pyarrow.fs", "remote")
        (at_root,) = self.system.get_file_info([root])
        found = [at_root] if at_root.type == fs.FileType.File else []
        if at_root.type == fs.FileType.Directory:
            found = self.system.get_file_info(fs.FileSelector(root, recursive=True))
        files = [one for one in found if one.type == fs.FileType.File]
        return [RemoteFile(_below(one.path, root), one.size, str(one.mtime_ns)) for one in files]

    def open(self, path: str) -> tuple[IO[bytes], str]:
        """As Remote says."""
        stream = self.system.open_input_stream(path, compression=None)
        facts = stream.metadata() or {}
        if "md5Hash" in facts:  # of Google, in base 64
            return stream, b64decode(facts["md5Hash"]).hex()
        return stream, facts.get("ETag", b"").decode().strip('"')


@dataclass(frozen=True)
class Hub:
    """Hugging Face, by its own file system: hf://datasets/owner/name/demos.zarr."""

    system: Any

    @classmethod
    def of(cls, scheme: str) -> "Hub":
        """The file system of hf://."""
        return cls(import_extra("huggingface_hub", "remote").HfFileSystem())

    def files(self, root: str) -> list[RemoteFile]:
        """One listing of all; the version is the hash of the content."""
        try:
            found = self.system.find(root, detail=True, refresh=True)
        except FileNotFoundError:
            return []
        return [
            RemoteFile(_below(path, root), facts["size"], str(facts["blob_id"]))
            for path, facts in found.items()
        ]

    def open(self, path: str) -> tuple[IO[bytes], str]:
        """As Remote says."""
        return self.system.open(path, "rb", block_size=0), ""


def is_remote(path: str | Path) -> bool:
    """Whether `path` names a file system, as s3://bucket/demos.zarr does; Path makes s3:/bucket of it."""
    return SCHEME.match(str(path)) is not None


def address(path: str | Path) -> str:
    """`path` as people write it: what `is_remote` as s3://bucket/demos.zarr."""
    match = SCHEME.match(str(path))
    if match is None:
        return str(Path(path))
    root = str(path)[match.end() :].rstrip("/")
    return f"{match[1]}:///{root}" if match[1] == "file" else f"{match[1]}://{root}"


def local_copy(path: str | Path, progress: Progress = SILENT) -> Path:
    """The folder or file on this machine with all that is at `path` ("s3://bucket/demos.zarr").

    file:// gives the path itself. Raises DataError with one line where it cannot be read whole, and
    MissingExtraError where what its scheme needs is not installed.
    """
    match = SCHEME.match(str(path))
    assert match is not None
    scheme, root = match[1], str(path)[match.end() :].rstrip("/")
    if scheme == "file":
        return Path("/" + root.lstrip("/"))
    url = address(path)
    if scheme not in SCHEMES:
        raise DataError(f"{url}: nothing is known of {scheme}://{nearest(scheme, SCHEMES)}")
    with _told(url):
        remote: Remote = Hub.of(scheme) if scheme == "hf" else Arrow.of(scheme)
        files = sorted(remote.files(root), key=lambda file: file.name)
    if not files:
        hidden = "; a private one needs HF_TOKEN" if scheme == "hf" else ""
        raise DataError(f"{url} does not exist, or is empty: check the names{hidden}")
    named = json.dumps([url, *map(astuple, files)])
    folder = Path(os.environ.get(CACHE) or "~/.cache/imitate").expanduser() / "remote"
    folder /= hashlib.sha256(named.encode()).hexdigest()[:32]
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with only_one(folder.with_suffix(".lock")):
            _fetch(remote, url, files, folder, progress)
    return folder / PurePosixPath(root).name


def _below(path: str, root: str) -> str:
    """The name below the root; raises DataError for one that leads out of it."""
    name = path.removeprefix(root).lstrip("/")
    if not path.startswith(root) or ".." in PurePosixPath(name).parts:
        raise DataError(f"{path}: names a file outside {root}; nothing was read")
    return name


def _fetch(remote: Remote, url: str, files: Sequence[RemoteFile], folder: Path, progress: Progress) -> None:
    """Bring all files into `folder`, which is there whole or not at all."""
    if folder.is_dir():  # another command was faster
        return
    unfinished = folder.with_suffix(".partial") / PurePosixPath(url).name
    left = [file for file in files if not _is_there(file, unfinished / file.name)]
    with _Shown(progress, url, sum(file.size for file in left)) as shown:
        for file in left:
            _fetch_one(remote, url, file, unfinished / file.name, shown)
    os.replace(unfinished.parent, folder)  # noqa: PTH105


def _is_there(file: RemoteFile, out: Path) -> bool:
    return out.is_file() and out.stat().st_size == file.size


class _Shown(ExitStack):
    """Tells how far the copy of `url` is, of `size` bytes, once it has taken QUIET_S."""

    def __init__(self, progress: Progress, url: str, size: int) -> None:
        super().__init__()
        self._progress, self._url, self._size = progress, url, size
        self._began, self._came = time.monotonic(), 0
        self._bar: Task | None = None

    def add(self, came: int) -> None:
        """Count so many bytes more."""
        self._came += came
        elapsed = time.monotonic() - self._began
        if self._bar is None and elapsed > QUIET_S:
            left = elapsed * (self._size - self._came) / self._came
            size = f"{self._came / 1e6:.1f} of {self._size / 1e6:.1f} MB"
            self._progress.say(f"copying {self._url}: {size}, about {left:.0f} s left")
            self._bar = self.enter_context(self._progress.task("copy", self._size / 1e6, "MB"))
            self._bar.advance(self._came / 1e6)
        elif self._bar is not None:
            self._bar.advance(came / 1e6)


def _fetch_one(remote: Remote, url: str, file: RemoteFile, out: Path, shown: _Shown) -> None:
    where = f"{url}/{file.name}".rstrip("/")
    out.parent.mkdir(parents=True, exist_ok=True)
    begun, digest = out.with_name(f"{out.name}.part"), hashlib.md5(usedforsecurity=False)
    with _told(where), begun.open("wb") as kept:
        stream, tag = remote.open(where.partition("://")[2])
        with closing(stream):
            while block := stream.read(BLOCK):
                kept.write(block)
                digest.update(block)
                shown.add(len(block))
    size = begun.stat().st_size
    if size != file.size:
        raise DataError(f"{where} is truncated: {size:,} bytes came, expected {file.size:,}; try again")
    # The entity tag of what was put in one piece is its MD5.
    if MD5.fullmatch(tag) and digest.hexdigest() != tag:
        raise DataError(f"{where} came with other content than the server says it has; try again")
    os.replace(begun, out)  # noqa: PTH105


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Say what libraries raise, of whatever kind, in one line."""
    try:
        yield
    except ImitateError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise DataError(f"{where} cannot be read: {type(error).__name__}: {text[:300]}") from error
