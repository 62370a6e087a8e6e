"""Settings that every tabletop task has."""

from dataclasses import dataclass
from typing import Literal

from imitate.envs.tabletop.actions import ActionModeName
from imitate.errors import ConfigError

Camera = Literal["front", "wrist"]


@dataclass(frozen=True)
class TabletopConfig:
    """Settings of a tabletop environment; each task's own config builds it.

    action_mode: "ee_delta" (displacement of the grip point) or "joint_position" (absolute joint angles).
    cameras: which of "front" and "wrist" are observed; image_size: their height and width in pixels.
    rate_hz: control rate; its period must be a whole number of physics steps. max_steps: control steps
    after which an episode is cut off.
    """

    action_mode: ActionModeName = "ee_delta"
    cameras: tuple[Camera, ...] = ()
    image_size: tuple[int, int] = (96, 96)
    rate_hz: float = 10.0
    max_steps: int = 120

    def __post_init__(self) -> None:
        if self.action_mode not in ("ee_delta", "joint_position"):
            raise ConfigError(f"env.action_mode is {self.action_mode!r}, expected ee_delta or joint_position")
        for camera in self.cameras:
            if camera not in ("front", "wrist") or self.cameras.count(camera) > 1:
                raise ConfigError(
                    f"env.cameras is {list(self.cameras)}, expected front, wrist, each at most once"
                )
        if len(self.image_size) != 2 or not all(8 <= side <= 960 for side in self.image_size):
            raise ConfigError(
                f"env.image_size is {list(self.image_size)}, expected [height, width] of 8 to 960"
            )
        if not 1.0 <= self.rate_hz <= 50.0:
            raise ConfigError(f"env.rate_hz is {self.rate_hz:g}, expected 1 to 50")
        if self.max_steps < 1:
            raise ConfigError(f"env.max_steps is {self.max_steps}, expected at least 1")
