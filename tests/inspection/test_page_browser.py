"""The page as its reader uses it: choose an episode, choose what is drawn, read a value, on a phone too."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, check_quiet, executable

from imitate.datasets.store import DemoStore
from imitate.inspection.gallery import Gallery
from imitate.inspection.page import inspection_page
from imitate.inspection.survey import survey
from imitate.types import ArraySpec, DataSpec, Episode

pytestmark = pytest.mark.skipif(
    executable() is None, reason="chromium is not installed: apt-get install chromium"
)

PHONE = 360
CURVES = "document.querySelectorAll('#course-plot path.curve').length"
SAID = "document.getElementById('course-said').textContent"
NAMES = "[...document.querySelectorAll('#course-plot text.name')].map((t) => t.textContent)"
PLAY = """Promise.all([...document.querySelectorAll('video')].map(async (v) => {
  await v.play();
  await new Promise((done) => setTimeout(done, 400));
  return v.currentTime > 0 && v.videoWidth === 32 && v.error === null;
}))"""
SPEC = DataSpec(
    {
        "joints": ArraySpec((3,), names=("a", "b", "grip"), units=("rad", "rad", "m")),
        "camera": ArraySpec((32, 32, 3), "uint8"),
    },
    ArraySpec((2,), names=("a", "b"), units=("rad", "rad"), low=(-2.0, -2.0), high=(2.0, 2.0)),
    10.0,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    with DemoStore.create(folder / "d.zarr", SPEC) as store:
        for i in range(4):
            time = np.arange(30 + i, dtype=np.float32)[:, None] / 10
            joints = np.hstack([np.sin(time), np.cos(time), 0 * time]).astype(np.float32)
            camera = np.full((30 + i, 32, 32, 3), 40 * i, np.uint8)
            store.append(Episode(f"take {i}", {"joints": joints, "camera": camera}, joints[:, :2] + i))
        gallery = Gallery(folder, SPEC, 4)
        found = survey(store, store.path, "imitate store", visits=[gallery.add])
    page = folder / "page.html"
    page.write_text(inspection_page(found, gallery, page), encoding="utf-8")
    return page


@pytest.fixture
def page(browser: Browser, path: Path) -> Iterator[Browser]:
    browser.open(path)
    yield browser
    check_quiet(browser)


def test_action_and_state_of_one_name_are_drawn_together(page: Browser) -> None:
    assert page.evaluate(NAMES) == [
        "a (action and joints) [rad]",
        "b (action and joints) [rad]",
        "grip (joints) [m]",
    ]
    assert page.evaluate(CURVES) == 5
    assert page.evaluate("document.querySelectorAll('#course-plot .state.beside').length") == 2
    assert page.evaluate(SAID) == "30 steps, 3 s"


def test_another_episode_is_chosen(page: Browser) -> None:
    page.evaluate("document.getElementById('course-next').click()")
    assert page.evaluate(SAID) == "31 steps, 3.1 s"
    page.evaluate("document.getElementById('course-previous').click()")
    page.evaluate("document.getElementById('course-previous').click()")
    assert page.evaluate("document.getElementById('course-episode').selectedOptions[0].text") == "take 3"
    page.evaluate("""(() => { const s = document.getElementById('course-episode'); s.selectedIndex = 2;
      s.dispatchEvent(new Event('change', {bubbles: true})); })()""")
    assert page.evaluate(SAID) == "32 steps, 3.2 s"


def test_what_is_drawn_is_chosen(page: Browser) -> None:
    page.evaluate("document.querySelectorAll('#course-choice input:checked').forEach((box) => box.click())")
    assert page.evaluate(CURVES) == 0
    page.evaluate("document.querySelector('#course-choice button').click()")
    assert page.evaluate(CURVES) == 4


def test_the_pointer_reads_values_at_their_time(page: Browser) -> None:
    page.evaluate("""(() => { const plot = document.querySelector('#course-plot svg');
      const box = plot.getBoundingClientRect(), first = document.querySelector('#course-plot path.curve');
      const x = Number(first.getAttribute('d').match(/L([\\d.]+)/)[1]);
      const at = { clientX: box.left + x, clientY: box.top + 30 };
      plot.dispatchEvent(new PointerEvent('pointermove', at)); })()""")
    assert page.evaluate(NAMES)[0] == "a (action and joints): 0.0998 | 0.0998 rad at 0.1 s"


def test_time_is_in_seconds_to_the_end_of_the_episode(page: Browser) -> None:
    marks = page.evaluate(
        "[...document.querySelectorAll('#course-plot text.tick')].map((t) => t.textContent)"
        ".filter((t) => t.endsWith(' s'))"
    )
    assert marks[0] == "0 s" and float(marks[-1].removesuffix(" s")) <= 2.9 and len(marks) >= 3


def test_pictures_are_there_and_videos_play(page: Browser) -> None:
    assert page.evaluate("[...document.images].every((i) => i.complete && i.naturalWidth > 0)")
    assert page.evaluate(PLAY) == [True] * 3


def test_a_phone_never_scrolls_sideways(page: Browser) -> None:
    page.send("Emulation.setDeviceMetricsOverride", width=PHONE, height=700, deviceScaleFactor=1, mobile=True)
    page.evaluate("dispatchEvent(new Event('resize'))")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE
    page.send("Emulation.clearDeviceMetricsOverride")


def test_without_scripts_it_says_what_is_missing(page: Browser, path: Path) -> None:
    page.send("Emulation.setScriptExecutionDisabled", value=True)
    page.open(path)
    assert page.evaluate("document.getElementById('course').hidden")
    assert "switched off" in page.evaluate("document.body.innerText")
    page.send("Emulation.setScriptExecutionDisabled", value=False)
