"""The layout that design decides: root links, no package file where it would hide another library, sizes."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINKS = ("datasets", "envs", "policies", "configs")
SOURCES = sorted((ROOT / "imitate").rglob("*.py"))


@pytest.mark.parametrize("name", LINKS)
def test_root_name_is_a_relative_link_into_the_package(name: str) -> None:
    link = ROOT / name
    assert link.is_symlink()
    assert str(link.readlink()) == f"imitate/{name}"


@pytest.mark.parametrize("name", ["datasets", "policies", "envs"])
def test_no_package_file_that_would_hide_another_library(name: str) -> None:
    assert not (ROOT / "imitate" / name / "__init__.py").exists()


def test_links_are_committed_as_links() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-s", *LINKS], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["120000"] * len(LINKS)


def test_the_linter_reads_every_source_once() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--show-files"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    package = [Path(line) for line in listed.stdout.splitlines() if line.startswith(str(ROOT / "imitate"))]
    assert sorted(path for path in package if path.suffix == ".py") == SOURCES
    assert not [line for line in listed.stdout.splitlines() if line.startswith(str(ROOT / "policies"))]


def test_package_is_marked_as_typed() -> None:
    assert (ROOT / "imitate" / "py.typed").exists()


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_names_and_sizes(path: Path) -> None:
    assert path.stem not in {"utils", "common", "helpers", "misc"}
    in_linked_folder = path.relative_to(ROOT).parts[1] in LINKS
    assert not (in_linked_folder and path.stem != "__init__" and path.stem in sys.stdlib_module_names)
    text = path.read_text()
    assert text.count("\n") <= 500
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno + 1 <= 80, node.name


def test_every_yaml_and_asset_is_package_data() -> None:
    suffixes = {".py", ".typed", ".yaml", ".xml", ".stl", ".png", ".html", ".js", ".css"}
    strays = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "imitate").rglob("*")
        if path.is_file()
        and path.suffix not in suffixes
        and path.name != "py.typed"
        and "__pycache__" not in str(path)
    ]
    assert not strays
