"""The document around the content: nothing outside, written whole, videos inside."""

import base64
import re
from pathlib import Path

import numpy as np
import pytest

from imitate.errors import DataError
from imitate.page import picture, render, section, video, write_whole


def test_nothing_refers_outside() -> None:
    document = render("title", section("x", picture(np.zeros((400, 300, 3), np.uint8), "black")))
    assert "http:" not in document.replace("http://www.w3.org", "") and "https:" not in document
    assert "default-src 'none'" in document.replace("&#x27;", "'")
    assert not re.search(r"(src|href)=\"(?!data:|#)", document)


def test_a_large_picture_is_thinned() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (720, 1280, 3), np.uint8)
    assert len(picture(noise, "noise")) < 200_000


def test_a_video_is_inside_and_a_failure_is_marked(tmp_path: Path) -> None:
    file = tmp_path / "v.mp4"
    file.write_bytes(b"\0\1video")
    whole = video(file, "seed 1", failed=True)
    assert base64.b64encode(b"\0\1video").decode() in whole and "failed" in whole and "✕" in whole
    assert "failed" not in video(file, "seed 1", failed=False)
    assert "success" not in video(file, "seed 1")
    with pytest.raises(DataError, match=r"cannot read video .*absent\.mp4: No such file"):
        video(tmp_path / "absent.mp4", "x")


def test_writing_replaces_whole_and_makes_folders(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "new" / "page.html", "first")
    write_whole(path, "second é")
    assert path.read_text(encoding="utf-8") == "second é"
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot write"):
        write_whole(tmp_path / "file" / "page.html", "x")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(DataError, match="cannot write"):
        write_whole(tmp_path / "folder.html", "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.html"]
