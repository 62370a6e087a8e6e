"""The page of a data set: self-contained, small, and every word from a file is text."""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import sample_pages

from imitate.datasets.store import DemoStore
from imitate.inspection.gallery import Gallery
from imitate.inspection.page import inspection_page
from imitate.inspection.survey import survey
from imitate.types import ArraySpec, DataSpec, Episode

EVIL = "</script><script>alert(1)</script>"


def page_of(store: DemoStore, folder: Path, limit: int | None = None) -> str:
    gallery = Gallery(folder, store.spec, min(6, len(store)))
    return inspection_page(
        survey(store, store.path, "imitate store", limit, visits=[gallery.add]), gallery, Path("p.html")
    )


class Closed(HTMLParser):
    """Raises where tags are not nested."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        if name not in {"meta", "img", "input", "br", "hr", "path"}:
            self.open.append(name)

    def handle_endtag(self, name: str) -> None:
        if name != "path":
            assert self.open.pop() == name


def test_the_page_holds_everything_and_loads_nothing(tmp_path: Path) -> None:
    episodes = [sample_pages.episode(i, 20 + i, success=i != 2) for i in range(8)]
    page = page_of(sample_pages.store(tmp_path / "d.zarr", episodes), tmp_path)
    parser = Closed()
    parser.feed(page)
    assert parser.open == []
    for title in ("What is in it", "Episodes", "Cameras", "Over time", "How the numbers are spread"):
        assert f"<h2>{title}</h2>" in page
    assert "8 episodes, 188 steps, 18.8 s" in page and "7 successes, 1 failures, 0 not judged" in page
    assert page.count('class="histogram"') == 5 and page.count("<video") == 3
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "Left out" not in page, "a store of our own leaves nothing out"


def test_a_part_is_called_a_part(tmp_path: Path) -> None:
    store = sample_pages.store(tmp_path / "d.zarr", [sample_pages.episode(i, 20) for i in range(5)])
    assert "2 of 5 episodes were read, evenly spread" in page_of(store, tmp_path, limit=2)


def test_names_are_text(tmp_path: Path) -> None:
    spec = DataSpec({"s": ArraySpec((1,), names=(EVIL,), units=(EVIL,))}, ArraySpec((1,), names=(EVIL,)))
    with DemoStore.create(tmp_path / "d.zarr", spec, EVIL, {"about": EVIL}) as store:
        column = np.zeros((9, 1), np.float32)
        store.append(Episode(EVIL, {"s": column}, column, operator=EVIL, metadata={"task": EVIL}))
        page = page_of(store, tmp_path)
    assert EVIL not in page and page.count("<script") == 4


@pytest.mark.slow
def test_the_worst_of_cameras_stays_small(tmp_path: Path) -> None:
    spec = DataSpec({name: ArraySpec((120, 160, 3), "uint8") for name in "abcd"}, ArraySpec((40,)), 20.0)
    generator = np.random.default_rng(0)
    with DemoStore.create(tmp_path / "d.zarr", spec) as store:
        for i in range(6):
            obs = {name: generator.integers(0, 256, (80, 120, 160, 3), np.uint8) for name in "abcd"}
            store.append(Episode(f"e{i}", obs, generator.normal(size=(80, 40)).astype(np.float32)))
        page = page_of(store, tmp_path)
    assert sys.getsizeof(page) < 4_000_000
