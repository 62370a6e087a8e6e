"""The report as its reader uses it: filter, sort, open an episode, choose a place; by pointer and keys."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import sample_pages
from browser import WAIT, Browser, check_quiet, executable, press
from judged_sets import judged

from imitate.curation.report_page import report_page
from imitate.curation.verdict import findings

pytestmark = pytest.mark.skipif(
    executable() is None, reason="chromium is not installed: apt-get install chromium"
)

PHONE = 390
TITLE = "document.getElementById('viewer-title').textContent"
OPEN = "document.getElementById('viewer').open"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    episodes = [
        sample_pages.episode(i, 20 + i, success=i != 7, style="fast" if i % 2 else "slow") for i in range(20)
    ]
    episodes.append(sample_pages.episode(99, id="odd & <b> #=", style="slow"))
    store = sample_pages.store(folder / "d.zarr", episodes)
    measured = judged(store)
    page = folder / "report.html"
    page.write_text(report_page(store, measured, findings(measured), page), encoding="utf-8")
    return page


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Browser]:
    browser.open(report)
    yield browser
    check_quiet(browser)


def reload(browser: Browser) -> None:
    browser.evaluate("window.stale = true")
    browser.send("Page.reload")
    while browser.evaluate("window.stale === true || document.readyState !== 'complete'"):
        pass


def shown(browser: Browser) -> list[str]:
    rows = "[...document.querySelectorAll('#episodes tbody tr')].filter((r) => r.offsetHeight > 0)"
    return browser.evaluate(f"{rows}.map((r) => r.cells[1].textContent)")


def choose(browser: Browser, name: str, value: str) -> None:
    browser.evaluate(
        f"""(() => {{ const field = document.getElementById('filters').elements['{name}'];
        field.value = '{value}'; field.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()"""
    )


def test_episodes_stand_in_order_of_quality(page: Browser) -> None:
    quality = page.evaluate(
        "[...document.querySelectorAll('#episodes tbody tr')].map((r) => Number(r.cells[3].textContent))"
    )
    assert quality == sorted(quality) and len(quality) == 21


def test_filters_leave_what_fits(page: Browser) -> None:
    assert len(shown(page)) == 21
    choose(page, "fault", "slow")
    assert shown(page) == ["seed9"]
    choose(page, "fault", "")
    choose(page, "keep", "no")
    left_out = shown(page)
    assert {"seed4", "seed7", "seed9"} <= set(left_out) and "seed0" not in left_out
    choose(page, "text", "failed demonstration")
    assert shown(page) == ["seed7"]
    choose(page, "text", "")
    choose(page, "keep", "")
    choose(page, "style", "fast")
    assert len(shown(page)) == 10
    choose(page, "text", "SEED1")
    assert sorted(shown(page)) == ["seed1", "seed11", "seed13", "seed15", "seed17", "seed19"]
    assert page.evaluate("document.querySelector('#filters output').textContent") == "6 of 21 shown"


def test_a_row_opens_the_episode_with_traces_scores_and_frames(page: Browser) -> None:
    page.evaluate("document.querySelector('#episodes tbody tr[data-i=\"4\"] td.why').click()")
    page.evaluate(WAIT)
    assert page.evaluate(TITLE) == "seed4" and page.evaluate(OPEN)
    assert page.evaluate("location.hash") == "#episode=seed4"
    assert page.evaluate("document.querySelectorAll('#viewer-plot path.curve').length") == 6
    assert page.evaluate("document.querySelectorAll('#viewer-plot .flagged').length") == 1
    assert page.evaluate("document.querySelectorAll('#viewer-frames img').length") == 7
    assert "noisy, steps 8 to 15" in page.evaluate("document.getElementById('viewer-flags').textContent")
    assert page.evaluate("document.querySelectorAll('#viewer-scores tr').length") >= 6


def test_choosing_what_to_draw(page: Browser) -> None:
    page.evaluate("location.hash = '#episode=seed3'")
    page.evaluate(WAIT)
    page.evaluate("document.querySelectorAll('#viewer-choices input:checked').forEach((box) => box.click())")
    assert page.evaluate("document.querySelectorAll('#viewer-plot path.curve').length") == 0
    page.evaluate("document.querySelector('#viewer-choices input').click()")
    assert page.evaluate("document.querySelector('#viewer-plot text.name').textContent") == "vx [m/s]"


def test_the_keyboard_is_enough(page: Browser) -> None:
    order = shown(page)
    page.evaluate("document.querySelector('#episodes tbody a').focus()")
    press(page, "Enter")
    assert page.evaluate(TITLE) == order[0]
    press(page, "ArrowRight")
    assert page.evaluate(TITLE) == order[1]
    press(page, "ArrowLeft")
    press(page, "ArrowLeft")
    assert page.evaluate(TITLE) == order[-1]
    press(page, "Escape")
    assert not page.evaluate(OPEN) and "episode=" not in page.evaluate("location.hash")
    focused = "document.activeElement.closest('tr')?.cells[1].textContent"
    assert page.evaluate(focused) == order[-1]


def test_a_head_sorts_by_enter_and_arrows_then_follow_that_order(page: Browser) -> None:
    page.evaluate(
        "[...document.querySelectorAll('#episodes th')].find((h) => h.textContent === 'steps').focus()"
    )
    press(page, "Enter")
    order = shown(page)
    assert order[:3] == ["seed0", "seed1", "seed2"]
    page.evaluate("location.hash = '#episode=seed1'")
    page.evaluate(WAIT)
    press(page, "ArrowRight")
    assert page.evaluate(TITLE) == "seed2"


def test_a_deep_link_opens_also_an_odd_name(page: Browser) -> None:
    page.evaluate("location.hash = '#episode=' + encodeURIComponent('odd & <b> #=') + '&step=3'")
    page.evaluate(WAIT)
    assert page.evaluate(TITLE) == "odd & <b> #=" and page.evaluate(OPEN)
    assert page.evaluate("document.querySelectorAll('#viewer-plot .here').length") == 1
    reload(page)
    assert page.evaluate(TITLE) == "odd & <b> #=" and page.evaluate(OPEN)
    page.evaluate("location.hash = '#episode=nobody'")
    page.evaluate(WAIT)
    assert not page.evaluate(OPEN)


def test_a_place_names_who_was_there(page: Browser) -> None:
    names = "[...document.querySelectorAll('#visits a')].map((a) => a.textContent)"
    page.evaluate(
        "document.querySelector('svg.hexes use').dispatchEvent(new Event('click', {bubbles: true}))"
    )
    first = page.evaluate(names)
    assert first and not page.evaluate("document.getElementById('visits').hidden")
    page.evaluate("document.querySelector('svg.hexes').focus()")
    press(page, "ArrowRight")
    assert page.evaluate(names) and page.evaluate("document.querySelectorAll('use.chosen').length") >= 1
    page.evaluate("document.querySelector('#visits a').click()")
    page.evaluate(WAIT)
    assert page.evaluate(OPEN) and "&step=" in page.evaluate("location.hash")


def test_the_pointer_reads_values(page: Browser) -> None:
    page.evaluate("location.hash = '#episode=seed3'")
    page.evaluate(WAIT)
    page.evaluate(
        """(() => { const plot = document.querySelector('#viewer-plot svg');
        const box = plot.getBoundingClientRect(), at = { clientX: box.left + 60, clientY: box.top + 5 };
        plot.dispatchEvent(new PointerEvent('pointermove', at)); })()"""
    )
    name = page.evaluate("document.querySelector('#viewer-plot text.name').textContent")
    assert re.fullmatch(r"vx: −?\d[\d.]* m/s", name)


def test_a_phone_shows_page_and_viewer_without_scrolling_sideways(page: Browser) -> None:
    page.send("Emulation.setDeviceMetricsOverride", width=PHONE, height=844, deviceScaleFactor=1, mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE
    page.evaluate("location.hash = '#episode=seed4'")
    page.evaluate(WAIT)
    fits = "(() => { const v = document.getElementById('viewer'); return v.scrollWidth <= v.clientWidth; })()"
    assert page.evaluate(fits)
    assert page.evaluate("document.getElementById('viewer').getBoundingClientRect().width") <= PHONE
    page.send("Emulation.clearDeviceMetricsOverride")


def test_without_scripts_everything_is_still_there(page: Browser, report: Path) -> None:
    page.send("Emulation.setScriptExecutionDisabled", value=True)
    page.open(report)
    # The debugger still evaluates; only the page's own scripts are off.
    assert page.evaluate("document.getElementById('filters').offsetHeight") == 0
    assert len(shown(page)) == 21
    assert page.evaluate("document.querySelectorAll('svg.hexes use').length") > 10
    assert page.evaluate("document.getElementById('viewer').open") is False
    page.send("Emulation.setScriptExecutionDisabled", value=False)


def test_print_leaves_out_what_only_a_screen_can_do(page: Browser) -> None:
    page.send("Emulation.setEmulatedMedia", media="print")
    assert page.evaluate("document.getElementById('filters').offsetHeight") == 0
    assert page.evaluate(
        "document.querySelector('.tall').scrollHeight <= document.querySelector('.tall').clientHeight"
    )
    page.send("Emulation.setEmulatedMedia", media="")
