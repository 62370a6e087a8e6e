"""Both pages in a real browser: no error, nothing loaded from outside, videos play, phones fit."""

from pathlib import Path

import pytest
import sample_pages
from browser import Browser, check_quiet, executable

from imitate.curation.report import write_report
from imitate.evaluation.page import write_experiment_page

pytestmark = pytest.mark.skipif(
    executable() is None, reason="chromium is not installed: apt-get install chromium"
)

PLAY = """Promise.all([...document.querySelectorAll('video')].map(async (v) => {
  await v.play();
  await new Promise((done) => setTimeout(done, 400));
  return v.currentTime > 0 && v.videoWidth === 96 && v.error === null;
}))"""
PHONE = 360


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("experiment")
    result = sample_pages.result(folder, [True, False, True], videos=2)
    videos = [folder / name for name in result.videos.values()]
    return write_experiment_page(
        folder / "index.html", result, sample_pages.run_folder(folder / "run"), videos
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    episodes = [sample_pages.episode(i, 20 + i, style="fast" if i % 2 else "slow") for i in range(8)]
    return write_report(sample_pages.store(folder / "d.zarr", episodes), folder / "report.html").page


def test_experiment_is_quiet_and_its_videos_play(browser: Browser, experiment: Path) -> None:
    browser.open(experiment)
    assert browser.evaluate(PLAY) == [True, True]
    assert browser.evaluate("document.querySelectorAll('figure.video.failed').length") == 1
    assert browser.evaluate("[...document.querySelectorAll('video[poster]')].length") == 2
    assert browser.evaluate("document.querySelectorAll('figure.chart svg path').length") > 20
    check_quiet(browser)


def test_report_is_quiet_and_shows_its_pictures(browser: Browser, report: Path) -> None:
    browser.open(report)
    shown = "[...document.images].map((i) => i.complete && i.naturalWidth > 0)"
    pictures = browser.evaluate(shown)
    # Seven frames of each episode, and how six of them start.
    assert pictures == [True] * (8 * 7 + 6)
    check_quiet(browser)


def test_a_click_on_a_head_sorts_by_number(browser: Browser, report: Path) -> None:
    browser.open(report)
    column = """(() => { const t = [...document.querySelectorAll('.tall table')].pop();
      const at = [...t.tHead.rows[0].cells].findIndex((c) => c.textContent === 'steps');
      t.tHead.rows[0].cells[at].click(); t.tHead.rows[0].cells[at].click();
      return [...t.tBodies[0].rows].map((r) => Number(r.cells[at].textContent)); })()"""
    assert browser.evaluate(column) == [27, 26, 25, 24, 23, 22, 21, 20]


def test_injected_script_does_not_run(browser: Browser, report: Path, tmp_path: Path) -> None:
    page = tmp_path / "injected.html"
    page.write_text(report.read_text().replace("</main>", "<script>window.ran = 1</script></main>"))
    browser.open(page)
    assert browser.evaluate("window.ran === undefined")
    assert any("Content Security Policy" in message for message in browser.messages)
    browser.messages.clear()


@pytest.mark.parametrize("page", ["experiment", "report"])
def test_a_phone_never_scrolls_sideways(browser: Browser, page: str, request: pytest.FixtureRequest) -> None:
    browser.send(
        "Emulation.setDeviceMetricsOverride", width=PHONE, height=700, deviceScaleFactor=1, mobile=True
    )
    browser.open(request.getfixturevalue(page))
    assert browser.evaluate("document.documentElement.scrollWidth") <= PHONE
    browser.send("Emulation.clearDeviceMetricsOverride")


def test_print_and_dark_differ_in_paper(browser: Browser, report: Path) -> None:
    browser.open(report)
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.send("Emulation.setEmulatedMedia", media="screen", features=dark)
    assert browser.evaluate(paper) != "rgb(255, 255, 255)"
    browser.send("Emulation.setEmulatedMedia", media="print", features=dark)
    assert browser.evaluate(paper) == "rgb(255, 255, 255)"
    browser.send("Emulation.setEmulatedMedia", media="", features=[])
