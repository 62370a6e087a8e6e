"""Every command of README and docs runs here, in small; one that cannot says why in a comment above it:

<!-- not run: needs a robot -->

Files that a user would bring along are made where a comment names their format and place:

<!-- sample: robomimic as low_dim.hdf5 -->
"""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from format_samples import SAMPLES

from imitate.cli.main import main
from imitate.evaluation.statistics import wilson

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# What tells a block of commands from one of output, settings or a picture.
COMMANDS = ("imitate ", "scripts/", ".venv/", "source ", "python", "pip ", "git ", "sudo ", "cd ", "$ ")
# Later values win, so these make any command of the verb a small one.
SMALL = {
    "collect": ["episodes=3"],
    "train": ["train.max_steps=4", "train.max_minutes=null", "train.evaluations=0", "train.validations=1"],
    "rollout": ["episodes=2", "videos=0", "rollout.workers=0"],
    "stress": [
        "episodes=2",
        "videos=false",
        "rollout.workers=0",
        "stress.kinds=[delay]",
        "stress.sizes.delay=[1]",
    ],
    "deploy": ["longest_s=1"],
}


@dataclass(frozen=True)
class Block:
    """One block of commands and the reason, if any, why it is not run."""

    text: str
    why_not: str | None

    @property
    def commands(self) -> list[list[str]]:
        joined = self.text.replace("\\\n", " ")
        return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


def blocks(page: str) -> list[Block]:
    """The blocks of commands of a page, fenced or indented by four columns, in order.

    A block that is a here-document or the like is one command of several lines.
    """
    pattern = re.compile(
        r"^```\w*\n(?P<fenced>.*?)^```$|(?<=\n\n)(?P<indented>(?:    [^\n]*\n|\n(?=    ))+)",
        re.MULTILINE | re.DOTALL,
    )
    found = []
    for match in pattern.finditer(page):
        text = match["fenced"] or re.sub(r"^    ", "", match["indented"], flags=re.MULTILINE)
        if text.startswith(COMMANDS):
            mark = re.search(r"<!-- not run: (.+?) -->\s*\Z", page[: match.start()])
            found.append(Block(text, mark[1] if mark else None))
    return found


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like a clone to the commands, except that runs/ and the like land in it."""
    clone = tmp_path / "clone"
    clone.mkdir()
    for entry in ROOT.iterdir():
        if entry.name not in {".git", ".venv", "runs", "outputs"} and not entry.name.endswith(".zarr"):
            (clone / entry.name).symlink_to(entry)
    (clone / ".venv").symlink_to(sys.prefix)
    if (ROOT.parent / "shared").exists():
        (tmp_path / "shared").symlink_to(ROOT.parent / "shared")
    monkeypatch.chdir(clone)
    return clone


def run_imitate(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    verb, words = words[1], words[1:]
    code = main([*words, *(SMALL.get(verb, []) if "--help" not in words else [])])
    said = capsys.readouterr().err
    if "is not installed: run" in said:
        pytest.skip(said.strip().splitlines()[-1])
    assert code == 0, f"imitate {' '.join(words)}\n{said}"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_command_of_a_page_runs(page: Path, clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, (key, name) in enumerate(re.findall(r"<!-- sample: (\w+) as (\S+) -->", page.read_text())):
        (made := clone.parent / f"sample_{number}").mkdir()
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(SAMPLES[key](made), name)
    for block in blocks(page.read_text()):
        if block.why_not:
            continue
        if "../shared/" in block.text and not (clone.parent / "shared").exists():
            pytest.skip("the folder shared/ is not beside the repository")
        if all(words[0] == "imitate" for words in block.commands):
            for words in block.commands:
                run_imitate(words, capsys)
        else:
            subprocess.run(["bash", "-e", "-c", block.text], cwd=clone, check=True, timeout=250)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_readme_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\((docs/[^)#]+\.md)\)", PAGES[0].read_text()))
    assert sorted(linked) == sorted(str(page.relative_to(ROOT)) for page in PAGES[1:])


def test_blocks_are_found_with_their_marks() -> None:
    page = (
        "Text\n\n    imitate a b=1\n    imitate b\n\n    more=2\n\n```bash\nimitate c \\\n  d=1\n```\n"
        "\n<!-- not run: needs a robot -->\n\n    scripts/x\n\n    only output\n"
    )
    found = blocks(page)
    assert [block.why_not for block in found] == [None, None, "needs a robot"]
    assert found[1].commands == [["imitate", "c", "d=1"]]


def test_a_broken_command_would_be_noticed(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError, match="no_such_key"):
        run_imitate(["imitate", "collect", "no_such_key=1"], capsys)
    assert not list(clone.glob("*.zarr"))


def test_the_table_of_intervals_is_right() -> None:
    rows = re.findall(
        r"^\| (\d+) \| ([\d.]+) \| ([\d.]+) \|$", (ROOT / "docs/evaluate.md").read_text(), re.MULTILINE
    )
    assert len(rows) == 5
    for episodes, low, high in rows:
        n = int(episodes)
        assert [f"{bound:.2f}" for bound in wilson(n * 9 // 10, n)] == [low, high]


def test_extras_and_python_of_the_readme_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = re.search(r"Extras: (.+?) or `all`", (ROOT / "README.md").read_text(), re.DOTALL)
    assert listed and set(re.findall(r"`([\w-]+)`", listed[1])) == set(project["optional-dependencies"]) - {
        "all"
    }
