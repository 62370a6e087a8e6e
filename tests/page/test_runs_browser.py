"""The page of several runs as its reader uses it: pick a seed, follow a link, filter; by pointer and keys."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import WAIT, Browser, check_quiet, executable, press
from sample_runs import FIRST, run

from imitate.evaluation.page_runs import RunsPage
from imitate.evaluation.runs import read_entries
from imitate.progress import SILENT

pytestmark = pytest.mark.skipif(
    executable() is None, reason="chromium is not installed: apt-get install chromium"
)

PHONE = 360
SEEDS = "[...document.querySelectorAll('.seed')].filter((p) => p.offsetHeight > 0).map((p) => p.dataset.seed)"
ROWS = (
    "[...document.querySelectorAll('.seeds tbody tr')].filter((r) => r.offsetHeight > 0)"
    ".map((r) => r.cells[0].textContent)"
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    a = run(folder / "a", "ssslll", videos=(0, 3, 4), config={"train.seed": 0})
    b = run(folder / "b", "sssssl", videos=(0, 3, 5), config={"train.seed": 1})
    page = RunsPage.of(read_entries([str(a), str(b)], SILENT), True, 25.0, SILENT)
    return page.write(folder / "page.html")


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Browser]:
    browser.requests.clear()
    browser.open(file)
    yield browser
    check_quiet(browser)
    assert len([one for one in browser.requests if one.startswith("file:")]) <= 2


def test_one_seed_is_shown_and_the_buttons_go_round(page: Browser) -> None:
    first = page.evaluate(SEEDS)
    # Of seed 3 both runs have a video, and one failed: it tells most.
    assert first == [str(FIRST + 3)]
    after = []
    for _ in range(4):
        page.evaluate("document.getElementById('after').click()")
        after += page.evaluate(SEEDS)
    assert after == [str(FIRST + i) for i in (4, 5, 0, 3)]
    page.evaluate("document.getElementById('before').click()")
    assert page.evaluate(SEEDS) == [str(FIRST)]
    assert page.evaluate("document.getElementById('seed').value") == str(FIRST)


def test_the_picker_is_reached_and_used_by_keys(page: Browser) -> None:
    page.evaluate("document.getElementById('seed').focus()")
    press(page, "ArrowDown")
    assert page.evaluate(SEEDS) == [str(FIRST + 4)]
    press(page, "Tab")
    press(page, "Tab")
    assert page.evaluate("document.activeElement.id") == "after"
    press(page, "Enter")
    assert page.evaluate(SEEDS) == [str(FIRST + 5)]


def test_all_videos_of_a_seed_play_together(page: Browser) -> None:
    page.evaluate("document.getElementById('play').click()")
    page.evaluate("new Promise((done) => setTimeout(done, 500))")
    playing = "[...document.querySelectorAll('.seed:not([hidden]) video')].map((v) => v.currentTime > 0)"
    assert page.evaluate(playing) == [True, True]
    page.evaluate("document.getElementById('after').click()")
    hidden = "[...document.querySelectorAll('.seed[hidden] video')].every((v) => v.paused)"
    assert page.evaluate(hidden)


def test_a_link_of_a_bad_episode_shows_its_video(page: Browser) -> None:
    link = f"document.querySelector('.seeds a[href=\"#video-{FIRST + 5}-1\"]')"
    page.evaluate(f"{link}.focus()")
    press(page, "Enter")
    assert page.evaluate(SEEDS) == [str(FIRST + 5)]
    assert page.evaluate("document.activeElement.id") == f"video-{FIRST + 5}-1"
    page.evaluate("document.getElementById('after').click()")
    # The same link once more.
    page.evaluate(f"{link}.click()")
    page.evaluate(WAIT)
    assert page.evaluate(SEEDS) == [str(FIRST + 5)]


def test_every_link_leads_to_a_video(page: Browser) -> None:
    assert page.evaluate(
        "[...document.querySelectorAll('a.watch')].every((a) => document.getElementById(a.hash.slice(1)))"
    )
    assert page.evaluate("document.querySelectorAll('.failure a.watch').length") >= 1


def test_the_filter_leaves_the_seeds_that_fit(page: Browser) -> None:
    assert len(page.evaluate(ROWS)) == 6
    page.evaluate("document.getElementById('seed-filter').focus()")
    page.send("Input.insertText", text=f"{FIRST + 4} {FIRST + 1}")
    assert sorted(page.evaluate(ROWS)) == [str(FIRST + 1), str(FIRST + 4)]
    assert page.evaluate("document.getElementById('seed-count').textContent") == "2 of 6 shown"


def test_a_head_sorts_by_failures(page: Browser) -> None:
    heads = "[...document.querySelectorAll('.seeds th')].find((h) => h.textContent === 'failed')"
    page.evaluate(f"{heads}.focus()")
    press(page, "Enter")
    assert page.evaluate(ROWS)[-1] == str(FIRST + 5)


def test_without_scripts_all_videos_are_there(page: Browser, file: Path) -> None:
    page.send("Emulation.setScriptExecutionDisabled", value=True)
    page.open(file)
    assert len(page.evaluate(SEEDS)) == 4
    assert page.evaluate("document.getElementById('picker').offsetHeight") == 0
    page.send("Emulation.setScriptExecutionDisabled", value=False)


def test_a_phone_never_scrolls_sideways(page: Browser, file: Path) -> None:
    page.send("Emulation.setDeviceMetricsOverride", width=PHONE, height=700, deviceScaleFactor=1, mobile=True)
    page.open(file)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE
    page.send("Emulation.clearDeviceMetricsOverride")
