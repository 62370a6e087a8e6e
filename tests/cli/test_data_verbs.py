"""imitate import and imitate inspect, as a person calls them."""

import json
from pathlib import Path

import numpy as np
import pytest

from imitate.cli.main import main
from imitate.datasets.store import DemoStore
from imitate.types import ArraySpec, DataSpec, Episode


@pytest.fixture
def store(tmp_path: Path) -> DemoStore:
    spec = DataSpec(
        {"state": ArraySpec((2,), names=("x", "y"), units=("m", "m"))}, ArraySpec((1,), units=("N",)), 20.0
    )
    with DemoStore.create(tmp_path / "demos.zarr", spec, "test") as store:
        for number in range(3):
            state = np.full((4 + number, 2), number, np.float32)
            action = np.zeros((4 + number, 1), np.float32)
            store.append(Episode(f"demo_{number}", {"state": state}, action, success=number > 0))
    return store


def test_inspect_says_what_is_there(store: DemoStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", f"data.path={store.path}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["episodes"], found["steps"], found["successes"], found["failures"]) == (3, 15, 2, 1)
    assert DataSpec.from_json(found["spec"]) == store.spec
    assert found["hash"] == store.content_hash()
    assert main(["inspect", f"data.path={store.path}", "verify=true"]) == 0
    said = capsys.readouterr().out
    assert "3 of 4 to 6 steps, 15 steps in all, 20 Hz" in said
    assert any(line.split()[:2] == ["x", "m"] for line in said.splitlines())


def test_import_writes_a_store(store: DemoStore, capsys: pytest.CaptureFixture[str]) -> None:
    out = store.path.with_name("copy.zarr")
    assert main(["import", f"src={store.path}", f"out={out}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hash"] == DemoStore.open(out).content_hash()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["inspect", "data.path=PATH/demo.zarr"], "does not exist (did you mean 'demos.zarr'?)"),
        (["import", "src=PATH/demos.zarr", "out=PATH/demos.zarr"], "already exists"),
        (["import", "src=PATH/demos.zarr"], "needs out"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    store: DemoStore, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    folder = str(store.path.parent)
    assert main([word.replace("PATH", folder) for word in words]) == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "\n" not in said
    assert [child.name for child in store.path.parent.iterdir()] == ["demos.zarr"]
