"""The shown episodes in Rerun (https://rerun.io), one after another: pictures and numbers over time."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

import cv2
import numpy as np

from imitate.errors import ConfigError, DataError, import_extra
from imitate.evaluation.video import UNKNOWN_RATE_HZ
from imitate.inspection.curves import Element, Panel, elements, panels
from imitate.inspection.reading import Look, all_specs
from imitate.types import DataSpec

EXTRA = "viewer"
SUFFIX = ".rrd"
JPEG_QUALITY = 90
BLOCK = 16
MAX_VIEWS = 24
"""Panels that are laid out at first; all others can be added in the viewer."""


def require_viewer(viewer: bool | str) -> None:
    """Raise ConfigError where `viewer` names no recording, MissingExtraError where Rerun is not installed."""
    if isinstance(viewer, str) and Path(viewer).suffix != SUFFIX:
        raise ConfigError(f"viewer is {viewer!r}, expected true, or a name that ends in {SUFFIX}")
    if isinstance(viewer, str) and Path(viewer).is_dir():
        raise ConfigError(f"viewer is {viewer!r}, which is a folder: give the name of a file in it")
    import_extra("rerun", EXTRA)


@dataclass
class RerunLog:
    """`add` every shown episode. target: True opens the viewer, a name that ends in .rrd is written.

    Entities are ARRAY/ELEMENT, or the camera's name; timelines are `time` in s and `step`, on which the
    episodes follow one another, and the text `episode` says which one begins.
    """

    spec: DataSpec
    name: str
    target: bool | str
    step: int = 0
    time_s: float = 0.0
    _rerun: Any = field(init=False, default=None)
    _stream: Any = field(init=False, default=None)

    def __enter__(self) -> Self:
        rerun: ModuleType = import_extra("rerun", EXTRA)
        import_extra("rerun.blueprint", EXTRA)
        self._rerun, self._stream = rerun, rerun.RecordingStream(f"imitate {self.name}")
        layout = _layout(rerun, self.spec)
        if isinstance(self.target, str):
            self._start_file(Path(self.target), layout)
        else:
            self._open_viewer(layout)
        for panel in panels(self.spec):
            self._style(panel)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.flush()
        if isinstance(self.target, str):
            self._stream.disconnect()
            unfinished = _unfinished(Path(self.target))
            if error is None:
                unfinished.replace(self.target)
            else:
                unfinished.unlink(missing_ok=True)

    def _start_file(self, target: Path, layout: Any) -> None:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._stream.save(str(_unfinished(target)), default_blueprint=layout)
        except (OSError, RuntimeError) as error:
            raise DataError(f"cannot write {target}: {error}") from error

    def _open_viewer(self, layout: Any) -> None:
        known = os.environ.get("PATH", os.defpath)
        # The viewer is installed beside Python, which need not be on the path.
        os.environ["PATH"] = os.pathsep.join([known, str(Path(sys.executable).parent)])
        try:
            self._stream.spawn(default_blueprint=layout)
        except RuntimeError as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            raise ConfigError(
                f"viewer: Rerun's viewer does not open ({reason}); viewer=demos{SUFFIX} writes its recording"
            ) from error
        finally:
            os.environ["PATH"] = known

    def add(self, look: Look) -> None:
        """Put an episode behind those that are there."""
        rate = look.record.rate_hz or self.spec.rate_hz or UNKNOWN_RATE_HZ
        steps = np.arange(look.record.steps)
        self._stream.set_time("step", sequence=self.step)
        self._stream.set_time("time", duration=self.time_s)
        self._stream.log("episode", self._rerun.TextLog(f"{look.record.id}: {_about(look.record.success)}"))
        for key, array in look.arrays.items():
            flat = array.reshape(len(array), -1)
            for one in elements(key, all_specs(self.spec)[key]):
                self._send(
                    entity(one),
                    steps,
                    rate,
                    self._rerun.Scalars.columns(scalars=flat[:, one.index].astype(float)),
                )
        for camera, rows in look.wide.items():
            if self.spec.obs[camera].is_image:
                self._send_pictures(camera, rows, steps, rate)
        self.step += look.record.steps
        self.time_s += look.record.steps / rate

    def _send_pictures(self, camera: str, rows: Any, steps: np.ndarray, rate: float) -> None:
        for first in range(0, len(steps), BLOCK):
            here = steps[first : first + BLOCK]
            files = [_jpeg(pixels) for pixels in np.asarray(rows[here])]
            columns = self._rerun.EncodedImage.columns(blob=files, media_type=["image/jpeg"] * len(files))
            self._send(camera, here, rate, columns)

    def _send(self, where: str, steps: np.ndarray, rate: float, columns: Any) -> None:
        times = [
            self._rerun.TimeColumn("step", sequence=self.step + steps),
            self._rerun.TimeColumn("time", duration=self.time_s + steps / rate),
        ]
        self._rerun.send_columns(where, times, columns, recording=self._stream)

    def _style(self, panel: Panel) -> None:
        for one in panel.elements:
            name = f"{one.key} {one.name}" if one.name else one.label
            name += f" [{one.unit}]" if one.unit else ""
            self._stream.log(entity(one), self._rerun.SeriesLines(names=name), static=True)


def _unfinished(target: Path) -> Path:
    """Where a recording stands until it is whole."""
    return target.with_name(f".{target.stem}.unfinished{SUFFIX}")


def entity(one: Element) -> str:
    """The entity path of an element; Rerun's own signs within names become _."""
    safe = "".join(sign if sign.isalnum() or sign in "_-." else "_" for sign in one.name or str(one.index))
    return f"{one.key}/{safe}"


def _layout(rerun: ModuleType, spec: DataSpec) -> Any:
    """Cameras above, curves below, an action with the observation that it follows in one view."""
    plan = rerun.blueprint
    cameras = [plan.Spatial2DView(origin=key, name=key) for key, one in spec.obs.items() if one.is_image]
    curves = [
        plan.TimeSeriesView(name=panel.title, contents=[f"+ /{entity(one)}" for one in panel.elements])
        for panel in panels(spec)[:MAX_VIEWS]
    ]
    rows = [plan.Grid(*cameras)] if cameras else []
    rows += [plan.Grid(*curves)] if curves else []
    return plan.Blueprint(plan.Vertical(*rows), collapse_panels=True)


def _about(success: bool | None) -> str:
    return {True: "success", False: "failure", None: "not judged"}[success]


def _jpeg(pixels: np.ndarray) -> bytes:
    done, encoded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done
    return encoded.tobytes()
