"""Who may import whom: imports point one way, read from the source of every module."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "imitate"

# Each row may import the rows above it and, unless it is split in parts, itself.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "spec", "instruction", "history", "types", "progress", "parts", "device"),
    ("runtime",),
    ("normalize", "policy", "symmetry", "alignment", "env"),
    ("datasets", "policies", "envs"),
    ("checkpoint", "execution", "rollout"),
    (
        "training",
        "serving",
        "evaluation",
        "curation",
        "inspection",
        "collection",
        "export",
        "deploy",
        "cluster",
        "page",
    ),
    ("config", "cli", "__main__"),
)
APART = {"datasets", "policies", "envs"}
HYDRA_USERS = {"config", "cli"}


def top_name(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
            if node.module == "imitate":
                names |= {f"imitate.{alias.name}" for alias in node.names}
    return names


def layer_of(name: str) -> int:
    for number, layer in enumerate(LAYERS):
        if name in layer:
            return number
    raise AssertionError(f"imitate.{name} stands in no layer of the design")


SOURCES = [
    p for p in sorted(PACKAGE.rglob("*.py")) if p != PACKAGE / "__init__.py" and top_name(p) != "configs"
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    me = top_name(path)
    for name in imported(path):
        parts = name.split(".")
        if parts[0] != "imitate" or len(parts) == 1:
            continue
        other = parts[1]
        if other == "__version__":
            continue
        assert layer_of(other) <= layer_of(me), f"{me} imports {name}, which stands above it"
        if me in APART and other in APART:
            assert other == me, f"{me} imports {name}: datasets, policies and envs never know each other"
        if me in {"checkpoint", "execution", "rollout"}:
            assert other not in {"policies", "envs"}, f"{me} imports {name}: contracts only"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_config_and_cli_know_hydra_and_root_links_are_not_import_names(path: Path) -> None:
    roots = {name.split(".")[0] for name in imported(path)}
    if top_name(path) not in HYDRA_USERS:
        assert not roots & {"hydra", "omegaconf"}
    assert not roots & {"envs", "policies", "configs"}
