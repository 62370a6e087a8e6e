"""scripts/picture: a section of a page for docs, with nothing cut off."""

import io
import subprocess
from pathlib import Path

import numpy as np
import pytest
from browser import MARGIN, Browser, executable
from PIL import Image

from imitate.page import chart, grid, paragraph, render, section, write_whole

pytestmark = pytest.mark.skipif(
    executable() is None, reason="chromium is not installed: apt-get install chromium"
)

SCRIPT = Path(__file__).parents[2] / "scripts/picture"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    charts = [chart(lambda ax: ax.plot([0, 1]), f"chart {i}", "words " * 20) for i in range(7)]
    sections = [section("Before", paragraph("first")), section("Charts", grid(charts)), section("After")]
    return write_whole(tmp_path_factory.mktemp("page") / "page.html", render("Three", *sections))


@pytest.mark.parametrize("width", [360, 1000, 1300])
def test_a_section_is_whole_whatever_the_window_shows(browser: Browser, page: Path, width: int) -> None:
    browser.send(
        "Emulation.setDeviceMetricsOverride", width=width, height=300, deviceScaleFactor=1, mobile=False
    )
    browser.open(page)
    shown = np.array(Image.open(io.BytesIO(browser.picture("Charts"))).convert("L"))
    browser.send("Emulation.clearDeviceMetricsOverride")
    edge = MARGIN - 1  # a section may begin between two pixels
    paper = shown == 255
    assert paper[:, :edge].all() and paper[:, -edge:].all() and paper[-edge:].all()
    # The line above a section is as wide as the section, and the charts come close to its right edge.
    line = np.flatnonzero(~paper[0])
    assert abs(line[0] - MARGIN) <= 1 and abs(line[-1] + 1 - (shown.shape[1] - MARGIN)) <= 1
    assert line.size > 0.7 * min(width, 1080) and not paper[20:, -(MARGIN + 40) :].all()


def test_the_script_writes_it_and_names_what_is_not_there(page: Path, tmp_path: Path) -> None:
    out = tmp_path / "charts.png"
    subprocess.run([SCRIPT, page, "Charts", out], check=True, timeout=120)
    assert Image.open(out).width > 900
    wrong = subprocess.run(
        [SCRIPT, page, "Chart", out], check=False, capture_output=True, text=True, timeout=120
    )
    assert wrong.returncode == 2 and "has no section 'Chart', only Before, Charts, After" in wrong.stderr
