"""What is written for Rerun, read back with Rerun's own reader; what is said where it is not installed."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sample_pages

from imitate import errors
from imitate.errors import ConfigError, MissingExtraError
from imitate.inspection.curves import Element
from imitate.inspection.rerun_log import RerunLog, entity, require_viewer
from imitate.inspection.survey import survey

needs_rerun = pytest.mark.skipif(
    importlib.util.find_spec("rerun") is None, reason="Rerun is not installed: pip install 'imitate[viewer]'"
)


def written(folder: Path) -> Path:
    episodes = [sample_pages.episode(i, 10 + i, success=i == 0) for i in range(3)]
    store = sample_pages.store(folder / "d.zarr", episodes)
    with RerunLog(store.spec, "d.zarr", str(folder / "d.rrd")) as log:
        survey(store, store.path, "imitate store", visits=[log.add])
    return folder / "d.rrd"


@needs_rerun
def test_every_number_and_picture_is_found_again(tmp_path: Path) -> None:
    column = _columns(written(tmp_path), "step", "/**")
    arm = np.concatenate([sample_pages.episode(i, 10 + i).obs["arm"] for i in range(3)])
    for i, name in enumerate(("x", "y", "angle")):
        values = [value[0] for value in column(f"/arm/{name}:Scalars:scalars")]
        np.testing.assert_allclose(values, arm[:, i], rtol=1e-6)
    pictures = column("/camera:EncodedImage:blob")
    assert len(pictures) == 33 and bytes(pictures[0][0])[:2] == b"\xff\xd8"
    said = [value[0] for value in column("/episode:TextLog:text")]
    assert said == ["seed0: success", "seed1: failure", "seed2: failure"]


@needs_rerun
def test_time_is_that_of_the_data(tmp_path: Path) -> None:
    times = _columns(written(tmp_path), "time", "/action/vx")("time")
    np.testing.assert_allclose([time.total_seconds() for time in times], np.arange(33) / 10, atol=1e-6)


@needs_rerun
def test_a_failure_leaves_no_recording(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), RerunLog(sample_pages.SPEC, "d", str(tmp_path / "d.rrd")):
        raise RuntimeError("reading failed")
    assert list(tmp_path.iterdir()) == []


def _columns(path: Path, index: str, contents: str) -> Callable[[str], list[Any]]:
    """Gives the known values of a column."""
    dataframe = pytest.importorskip("rerun.dataframe")
    view = dataframe.load_recording(str(path)).view(index=index, contents=contents)
    table = view.select().read_all()
    return lambda name: [value for value in table.column(name).to_pylist() if value is not None]


def test_paths_have_no_signs_of_rerun() -> None:
    assert entity(Element("arm", 0, "x", "m")) == "arm/x"
    assert entity(Element("arm", 3, "", "")) == "arm/3"
    assert entity(Element("arm", 0, "left/grip [0]:w", "")) == "arm/left_grip__0__w"


def test_what_the_viewer_is_must_be_clear(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected true, or a name that ends in \.rrd"):
        require_viewer("recording")
    (tmp_path / "a.rrd").mkdir()
    with pytest.raises(ConfigError, match="which is a folder"):
        require_viewer(str(tmp_path / "a.rrd"))


def test_without_rerun_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(errors.importlib, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r"imitate\[viewer\]"):
        require_viewer(True)
