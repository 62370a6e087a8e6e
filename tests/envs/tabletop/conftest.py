import pytest

from imitate.envs.tabletop.config import TabletopConfig
from imitate.envs.tabletop.peg_insertion import PegInsertionConfig
from imitate.envs.tabletop.pick_place import PickPlaceConfig
from imitate.envs.tabletop.push import PushConfig
from imitate.envs.tabletop.reach import ReachConfig

CONFIGS = {
    "reach": ReachConfig,
    "push": PushConfig,
    "pick_place": PickPlaceConfig,
    "peg_insertion": PegInsertionConfig,
}


@pytest.fixture(params=CONFIGS)
def task(request: pytest.FixtureRequest) -> type[TabletopConfig]:
    """The config class of each task in turn."""
    return CONFIGS[request.param]
