"""The page of a session in a real browser: quiet, on a phone, by keys, at the moment that a link names."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, executable
from planted_session import plant

from imitate.deploy.page.session_page import write_session_page

pytestmark = pytest.mark.skipif(
    executable() is None, reason="chromium is not installed: apt-get install chromium"
)

PHONE = 380
SAID = "document.querySelector('#timeline .said').textContent"
WAIT = "new Promise((done) => setTimeout(done, 80))"
KEYS = {"n": 78, "p": 80, "+": 187, "0": 48, "ArrowRight": 39}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_session_page(plant(tmp_path_factory.mktemp("sessions") / "first", rule="<b>speed"))


@pytest.fixture
def page(browser: Browser, session: Path) -> Iterator[Browser]:
    browser.evaluate("history.replaceState(null, '', '#')") if browser.requests else None
    browser.open(session)
    yield browser
    assert browser.messages == []
    assert all(address.startswith(("file:", "data:", "about:")) for address in browser.requests)


def press(browser: Browser, key: str) -> None:
    browser.evaluate("document.querySelector('#timeline .drawing').focus()")
    about = {"key": key, "windowsVirtualKeyCode": KEYS[key]}
    browser.send("Input.dispatchKeyEvent", type="keyDown", **about)
    browser.send("Input.dispatchKeyEvent", type="keyUp", **about)
    browser.evaluate(WAIT)


def test_the_timeline_is_drawn(page: Browser) -> None:
    assert page.evaluate("document.querySelectorAll('#timeline path.commanded').length") == 2
    assert page.evaluate("document.querySelectorAll('#timeline path.proposed').length") == 2
    assert page.evaluate("document.querySelectorAll('#timeline rect.gate').length") == 2
    assert page.evaluate("document.querySelectorAll('#timeline rect.hold').length") == 2
    assert page.evaluate("document.querySelector('video').error === null")


def test_a_link_leads_to_its_moment(page: Browser) -> None:
    page.evaluate("document.querySelector('a[href=\"#t=2.200\"]').click()")
    page.evaluate(WAIT)
    said = page.evaluate(SAID)
    assert said.startswith("2.20 s") and "gate, arm: <b>speed (4 rad/s, the limit is 1)" in said
    assert "running" in said and "policy acts" in said


def test_keys_go_from_intervention_to_intervention(page: Browser) -> None:
    press(page, "n")
    assert page.evaluate(SAID).startswith("0.70 s")
    press(page, "n")
    assert page.evaluate(SAID).startswith("2.20 s")
    press(page, "p")
    assert page.evaluate(SAID).startswith("0.70 s")
    before = page.evaluate("document.querySelectorAll('#timeline rect.running').length")
    press(page, "+")
    press(page, "+")
    press(page, "0")
    assert page.evaluate("document.querySelectorAll('#timeline rect.running').length") >= before


def test_an_attempt_can_be_chosen(page: Browser) -> None:
    page.evaluate(
        """(() => { const s = document.querySelector('#timeline select'); s.value = '1';
        s.dispatchEvent(new Event('change')); })()"""
    )
    assert page.evaluate("document.querySelectorAll('#timeline rect.attempt').length") == 1


def test_a_phone_never_scrolls_sideways(page: Browser) -> None:
    page.send("Emulation.setDeviceMetricsOverride", width=PHONE, height=800, deviceScaleFactor=1, mobile=True)
    page.evaluate(WAIT)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE
    assert page.evaluate("document.querySelector('#timeline svg').getBoundingClientRect().width") <= PHONE
    page.send("Emulation.clearDeviceMetricsOverride")


def test_without_scripts_the_tables_are_there(page: Browser, session: Path) -> None:
    page.send("Emulation.setScriptExecutionDisabled", value=True)
    page.open(session)
    assert page.evaluate("document.getElementById('timeline').offsetHeight") == 0
    assert "the limit is 1" in page.evaluate("document.body.textContent")
    page.send("Emulation.setScriptExecutionDisabled", value=False)


def test_print_shows_the_timeline_without_its_buttons(page: Browser) -> None:
    page.send("Emulation.setEmulatedMedia", media="print")
    assert page.evaluate("document.querySelector('#timeline .bar').offsetHeight") == 0
    assert page.evaluate("document.querySelector('#timeline svg').getBoundingClientRect().height") > 100
    page.send("Emulation.setEmulatedMedia", media="")
