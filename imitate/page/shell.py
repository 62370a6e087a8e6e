"""The page around the content: head, style, sections, facts and videos, all in one file."""

import base64
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import av
import numpy as np
from matplotlib.image import imsave

from imitate.errors import ConfigError, DataError
from imitate.page.markup import Html, joined, paragraph, tag

# The browser itself refuses to fetch anything: all there is stands in the page. Only our own script runs.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; script-src {scripts}"
PICTURE_PIXELS = 200


def _asset(name: str) -> str:
    return resources.files("imitate.page").joinpath(name).read_text(encoding="utf-8")


def render(title: str, *content: object, style: str = "", scripts: Sequence[str] = ()) -> str:
    """A whole HTML document with `title` (plain text) around `content`.

    `style` (CSS) and `scripts` (JavaScript, run in order) are trusted text of this project, added to what
    every page has; only scripts given here may run.
    """
    sources = [_asset("page.js"), *scripts]
    policy = POLICY.format(scripts=" ".join(map(_fingerprint, sources)))
    head = joined(
        [
            tag("meta", charset="utf-8"),
            tag("meta", http_equiv="Content-Security-Policy", content=policy),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="color-scheme", content="light dark"),
            tag("title", title),
            tag("style", Html(_asset("page.css") + style)),
        ],
        "\n",
    )
    running = (tag("script", Html(source)) for source in sources)
    body = joined([tag("main", joined(content, "\n")), *running], "\n")
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'


def drawing() -> str:
    """The script that others of a page draw with: elements, short numbers, marks on an axis."""
    return _asset("drawing.js")


def _fingerprint(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def data_block(name: str, content: object) -> Html:
    """Plain JSON values for the page's scripts: `JSON.parse` of the text of the element with id `name`."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # The only way out of a script element is its end tag, and the only way in again a comment.
    return tag("script", Html(text.replace("<", "\\u003c")), type="application/json", id=name)


def require_page(out: Path) -> None:
    """Raise ConfigError where the setting `out` names no .html file."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"out is {str(out)!r}, expected the name of an .html file such as report.html")
    if out.is_dir():
        raise ConfigError(f"out is {str(out)!r}, which is a folder: give the name of a file in it")


def write_whole(path: Path, document: str) -> Path:
    """Write `document` as UTF-8 to `path` whole or not at all; raises DataError where it cannot."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(document)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise DataError(f"cannot write {path}: {error.strerror}") from error
    return path


def headline(title: str, subtitle: str, *answer: object) -> Html:
    """The top of a page: what it is about, and the `answer` a reader came for."""
    return tag("header", paragraph(subtitle, class_="kicker"), tag("h1", title), *answer)


def section(title: str, *content: object, intro: object = "") -> Html:
    """A titled part of the page; `intro` says in a sentence what is to be seen."""
    lead = [paragraph(intro, class_="intro")] if intro else []
    return tag("section", tag("h2", title), *lead, *content)


def card(title: str, pairs: Mapping[str, object]) -> Html:
    """A small titled box of label and value pairs."""
    return tag("div", tag("h3", title), facts(pairs), class_="card")


def facts(pairs: Mapping[str, object]) -> Html:
    """Label and value pairs, one per line."""
    return tag("dl", *(joined([tag("dt", key), tag("dd", value)]) for key, value in pairs.items()))


def grid(items: Iterable[object], columns: int = 3) -> Html:
    """Items side by side, 2, 3 or 4 `columns` where there is room, one on a phone."""
    return tag("div", *items, class_=f"grid c{columns}")


def picture(pixels: np.ndarray, caption: object) -> Html:
    """A small image (H, W, 3) uint8 embedded as PNG; large ones are thinned to about 200 pixels."""
    step = max(1, round(max(pixels.shape[:2]) / PICTURE_PIXELS))
    source = image_address(np.ascontiguousarray(pixels[::step, ::step]), "png")
    return tag("figure", tag("img", src=source, alt=caption, class_="picture"), tag("figcaption", caption))


def thinned(pixels: np.ndarray, side: int) -> np.ndarray:
    """An image (H, W, 3) uint8 averaged over squares so that its longer side is about `side` pixels."""
    step = max(1, round(max(pixels.shape[:2]) / side))
    height, width = (size // step for size in pixels.shape[:2])
    if not height or not width:
        return pixels[::step, ::step]
    squares = pixels[: height * step, : width * step].reshape(height, step, width, step, 3)
    return np.ascontiguousarray(squares.mean(axis=(1, 3)).round().astype(np.uint8))


def image_address(pixels: np.ndarray, kind: str, **options: Any) -> Html:
    """An image (H, W, 3) uint8 as a data address, `kind` png, jpeg or webp with its Pillow `options`."""
    buffer = io.BytesIO()
    # Without this a PNG carries the name of the program that wrote it, longer than a small image.
    named: Any = {"Software": None} if kind == "png" else None
    imsave(buffer, pixels, format=kind, metadata=named, pil_kwargs=options)
    return Html(f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}")


def video(path: Path, caption: object, failed: bool | None = None) -> Html:
    """An mp4 file embedded in the page; a failed episode is marked by frame, sign and word.

    Its first frame stands for it until it is played, and in print.
    """
    try:
        encoded = base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise DataError(f"cannot read video {path}: {error.strerror}") from error
    source = Html(f"data:video/mp4;base64,{encoded}")
    player = tag(
        "video",
        src=source,
        controls=True,
        muted=True,
        loop=True,
        playsinline=True,
        preload="metadata",
        poster=_first_frame(path),
    )
    words = {True: ("✕ failed ", "bad"), False: ("✓ success ", "good"), None: ("", None)}
    mark = tag("span", words[failed][0], class_=words[failed][1])
    return tag(
        "figure",
        player,
        tag("figcaption", mark, caption),
        class_="video failed" if failed else "video",
    )


def _first_frame(path: Path) -> Html | None:
    """The first frame of a video as an address, None where it cannot be decoded here."""
    try:
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0), None)
    except (av.error.FFmpegError, IndexError):
        return None
    return None if frame is None else image_address(frame.to_ndarray(format="rgb24"), "jpeg")
