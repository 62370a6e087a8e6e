"""imitate doctor, as a person calls it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from recordings import SPEC, arm_episodes, changed

from imitate.cli.main import main
from imitate.datasets.store import DemoStore
from imitate.types import ArraySpec


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Twelve episodes: one with a NaN, one with a dead joint."""
    episodes = arm_episodes()
    joints = episodes[3].obs["joints"].copy()
    joints[7, 1] = np.nan
    episodes[3] = changed(episodes[3], joints=joints)
    joints = episodes[5].obs["joints"].copy()
    joints[:, 2] = 0.3
    episodes[5] = changed(episodes[5], joints=joints)
    with DemoStore.create(tmp_path / "demos.zarr", SPEC, "test") as made:
        for episode in episodes:
            made.append(episode)
    return made.path


def test_findings_by_severity_and_no_failure(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", f"data.path={store}"]) == 0
    said = capsys.readouterr().out
    assert said.index("errors") < said.index("warnings") < said.index("notices")
    assert "✕ values are finite: 1 episodes (e3)" in said
    assert "! numbers change: 1 episodes (e5)" in said
    assert "→ Look whether the sensor or the channel was dead" in said


def test_json(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", f"data.path={store}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"findings", "counts", "checked"}
    assert found["counts"] == {"error": 1, "warning": 1, "notice": 1}
    assert [set(one) for one in found["findings"]] == [{"check", "severity", "episodes", "what", "fix"}] * 3
    assert found["findings"][0]["episodes"] == ["e3"]
    assert found["checked"]["episodes"] == 12
    assert "values are finite" in found["checked"]["checks"]


def test_a_foreign_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    episodes = arm_episodes()
    ends = np.cumsum([len(e) for e in episodes])
    joints, action = (
        np.concatenate(a) for a in zip(*((e.obs["joints"], e.action) for e in episodes), strict=True)
    )
    np.savez(tmp_path / "demos.npz", joints=joints, action=action, episode_ends=ends)
    assert main(["doctor", f"data.path={tmp_path / 'demos.npz'}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["checked"]["episodes"] == 12


def test_cameras_of_another_store(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = replace(SPEC, obs={**SPEC.obs, "wrist": ArraySpec((8, 8, 3), "uint8")})
    DemoStore.create(tmp_path / "more.zarr", spec, "test").close()
    assert main(["doctor", f"data.path={store}", f"others=[{tmp_path / 'more.zarr'}]"]) == 0
    assert f"{store} has no camera wrist; it has none" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data.path=PATH/demo.zarr"], "does not exist (did you mean 'demos.zarr'?)"),
        (["data.path=PATH/demos.zarr", "others=more.zarr"], "others is 'more.zarr', expected a list"),
        (["data.path=PATH/demos.zarr", "others=[PATH/more.zarr]"], "more.zarr does not exist"),
        ([], "needs data.path"),
        (["data.path=PATH/empty.zarr"], "holds no episodes yet"),
    ],
)
def test_mistakes_are_one_line(
    store: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    DemoStore.create(store.with_name("empty.zarr"), SPEC, "test").close()
    assert main(["doctor", *(word.replace("PATH", str(store.parent)) for word in words)]) == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "\n" not in said
