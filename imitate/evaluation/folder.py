"""The folder of a result: filled out of sight, and shown only when it is complete."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imitate.errors import DataError

VIDEOS = "videos"
PAGE = "index.html"


@contextmanager
def replacing(out: Path, names: tuple[str, ...]) -> Iterator[Path]:
    """A temporary folder beside `out`; when the block succeeds, its `names` replace those in `out`.

    Whatever else `out` holds stays. When the block fails or is interrupted `out` is as it was. Raises
    DataError where `out` is a file or its videos folder holds something that is not a video.
    """
    out = out.absolute()
    _require_replaceable(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.unfinished-", dir=out.parent) as temporary:
        fresh, old = Path(temporary) / "fresh", Path(temporary) / "old"
        fresh.mkdir()
        old.mkdir()
        yield fresh
        if not out.exists():
            fresh.replace(out)
            return
        for name in names:
            _swap(fresh / name, out / name, old / name)


def _swap(fresh: Path, shown: Path, old: Path) -> None:
    """Show `fresh`, or nothing where it does not exist. A file is replaced atomically, a folder is not."""
    if shown.is_dir() or (shown.exists() and not fresh.exists()):
        shown.replace(old)
    if fresh.exists():
        fresh.replace(shown)


def _require_replaceable(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise DataError(f"out={out} is a file, expected a folder or nothing")
    videos = out / VIDEOS
    strays = [entry.name for entry in videos.iterdir() if entry.suffix != ".mp4"] if videos.is_dir() else []
    if strays:
        raise DataError(f"{videos} holds {strays[0]!r}, which is no video of a rollout: choose another  out=")
