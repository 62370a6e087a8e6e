"""Collections: the asked-for episodes, the same however they were made, and nothing lost on the way."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from imitate.collection import Collected, Recipe, collect, demonstrate
from imitate.datasets.store import DemoStore
from imitate.env import EnvConfig
from imitate.envs.tabletop.push import PushConfig
from imitate.envs.tabletop.reach import ReachConfig
from imitate.errors import ConfigError, DataError, EnvError, SpecError
from imitate.types import Episode

REACH = Recipe(ReachConfig())


def so_short_that_every_second_attempt_fails() -> Recipe:
    env = REACH.env.build()
    lengths = [len(demonstrate(env, REACH, seed)) for seed in range(21)]
    return Recipe(ReachConfig(max_steps=int(np.median(lengths))))


SHORT = so_short_that_every_second_attempt_fails()


class InterruptedAt:
    """Progress that interrupts, as Ctrl-C does, after `count` episodes."""

    def __init__(self, count: int) -> None:
        self.left = count

    @contextmanager
    def task(self, label: str, total: float, unit: str = "") -> Iterator["InterruptedAt"]:
        yield self

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self.left -= int(amount)
        if self.left == 0:
            raise KeyboardInterrupt

    def say(self, text: str) -> None:
        pass


def outcomes(recipe: Recipe, seeds: range) -> dict[int, bool]:
    env = recipe.env.build()
    return {seed: bool(demonstrate(env, recipe, seed).success) for seed in seeds}


def seeds_in(path: Path) -> list[int]:
    store = DemoStore.open(path)
    return [store.record(index).metadata["seed"] for index in range(len(store))]


def only(path: Path) -> Episode:
    return DemoStore.open(path).episode(0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Collected]:
    """Eight demonstrations made in one go in this process."""
    path = tmp_path_factory.mktemp("whole") / "demos.zarr"
    return path, collect(SHORT, 8, 0, path)


def test_it_keeps_the_first_successes_in_the_order_of_their_seeds(whole: tuple[Path, Collected]) -> None:
    path, told = whole
    success = outcomes(SHORT, range(40))
    wins = [seed for seed, won in success.items() if won]
    assert seeds_in(path) == wins[:8]
    assert told.failed == wins[7] + 1 - 8
    assert told.failed > 0
    assert (told.added, told.present, told.episodes) == (8, 0, 8)
    assert all(episode.success for episode in DemoStore.open(path).episodes())


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2])
def test_the_number_of_workers_changes_nothing(
    whole: tuple[Path, Collected], tmp_path: Path, workers: int
) -> None:
    told = collect(SHORT, 8, 0, tmp_path / "demos.zarr", workers=workers)
    assert told == whole[1]
    assert DemoStore.open(tmp_path / "demos.zarr").content_hash() == DemoStore.open(whole[0]).content_hash()


@pytest.mark.parametrize("done", [1, 3, 7])
def test_an_interrupted_collection_keeps_what_is_done_and_goes_on_to_the_same_end(
    whole: tuple[Path, Collected], tmp_path: Path, done: int
) -> None:
    path = tmp_path / "demos.zarr"
    with pytest.raises(KeyboardInterrupt):
        collect(SHORT, 8, 0, path, progress=InterruptedAt(done))
    assert seeds_in(path) == seeds_in(whole[0])[:done]
    told = collect(SHORT, 8, 0, path, append=True)
    assert (told.present, told.added) == (done, 8 - done)
    assert DemoStore.open(path).content_hash() == DemoStore.open(whole[0]).content_hash()
    assert collect(SHORT, 8, 0, path, append=True).added == 0


def test_other_settings_and_seeds_are_added_beside(tmp_path: Path) -> None:
    path = tmp_path / "demos.zarr"
    collect(REACH, 3, 0, path)
    left = Recipe(ReachConfig(), styles=("left",))
    assert collect(left, 2, 0, path, append=True).added == 2
    assert collect(REACH, 2, 2, path, append=True).added == 1
    assert seeds_in(path) == [0, 1, 2, 0, 1, 3]


def test_an_existing_path_is_left_alone_unless_it_is_to_be_added_to(tmp_path: Path) -> None:
    path = tmp_path / "demos.zarr"
    path.write_text("precious")
    with pytest.raises(DataError, match="append=true"):
        collect(REACH, 1, 0, path)
    assert path.read_text() == "precious"


def test_nothing_is_added_to_a_store_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "demos.zarr"
    collect(REACH, 1, 0, path)
    with pytest.raises(SpecError, match="observation"):
        collect(Recipe(PushConfig()), 1, 0, path, append=True)
    assert len(DemoStore.open(path)) == 1


def test_failures_are_kept_when_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "demos.zarr"
    told = collect(SHORT, 10, 0, path, keep_failures=True)
    stored = {e.metadata["seed"]: e.success for e in DemoStore.open(path).episodes()}
    assert stored == outcomes(SHORT, range(10))
    assert told.added == 10 and told.failed == sum(not won for won in stored.values())


def test_a_hopeless_expert_is_given_up_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "demos.zarr"
    with pytest.raises(EnvError, match="failed 100 times in a row, up to seed 104"):
        collect(Recipe(ReachConfig(max_steps=1)), 2, 5, path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("recipe", [REACH, Recipe(ReachConfig(), expert_noise=0.2)], ids=["clean", "noisy"])
def test_replaying_the_recorded_actions_repeats_the_episode_bitwise(tmp_path: Path, recipe: Recipe) -> None:
    collect(recipe, 1, 7, tmp_path / "demos.zarr")
    recorded = only(tmp_path / "demos.zarr")
    env = recipe.env.build()
    obs, _ = env.reset(seed=recorded.metadata["seed"])
    for step, action in enumerate(recorded.action):
        assert all(np.array_equal(obs[key], recorded.obs[key][step]) for key in obs), step
        obs, *_, info = env.step(action)
    assert info["success"]


def test_an_episode_says_how_it_was_made() -> None:
    recipe = Recipe(ReachConfig(), styles=("slow",), expert_noise=0.1, system_noise=0.05)
    episode = demonstrate(recipe.env.build(), recipe, 3)
    told = episode.metadata
    assert (told["seed"], told["style"], told["expert_noise"], told["system_noise"]) == (3, "slow", 0.1, 0.05)
    assert told["env"]["_target_"].endswith("ReachConfig")
    assert episode.rate_hz == 10.0 and episode.operator == "slow"


def test_expert_noise_is_recorded_and_has_the_asked_for_size() -> None:
    env = ReachConfig().build()
    spec = env.data_spec.action
    half = (np.array(spec.high) - np.array(spec.low)) / 2
    clean = np.array([demonstrate(env, REACH, seed).action[0] for seed in range(80)])
    noisy = np.array(
        [demonstrate(env, Recipe(ReachConfig(), expert_noise=0.05), seed).action[0] for seed in range(80)]
    )
    is_free = (np.abs(noisy) < np.abs(spec.high)) & (noisy > np.array(spec.low))
    levels = ((noisy - clean) / half)[is_free]
    assert len(levels) > 100
    assert abs(levels.mean()) < 0.02 and levels.std() == pytest.approx(0.05, rel=0.3)


def test_system_noise_disturbs_what_happens_and_not_what_is_recorded() -> None:
    env = ReachConfig().build()
    clean = demonstrate(env, REACH, 0)
    disturbed = demonstrate(env, Recipe(ReachConfig(), system_noise=0.3), 0)
    assert np.array_equal(clean.action[0], disturbed.action[0])
    assert np.array_equal(clean.obs["ee_pos"][0], disturbed.obs["ee_pos"][0])
    assert not np.array_equal(clean.obs["ee_pos"][1], disturbed.obs["ee_pos"][1])


def test_a_mixture_draws_each_style_by_seed() -> None:
    env, recipe = ReachConfig().build(), Recipe(ReachConfig(), styles=("left", "right", "right"))
    styles = [demonstrate(env, recipe, seed).metadata["style"] for seed in range(60)]
    assert styles == [demonstrate(env, recipe, seed).metadata["style"] for seed in range(60)]
    assert 10 <= styles.count("left") <= 30 and styles.count("left") + styles.count("right") == 60


def test_an_unknown_style_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(EnvError, match=r"'rigth'.*'right'"):
        collect(Recipe(ReachConfig(), styles=("left", "rigth")), 1, 0, tmp_path / "demos.zarr")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("noise", [-0.1, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["expert_noise", "system_noise"])
def test_a_senseless_noise_is_refused_by_its_key(name: str, noise: float) -> None:
    with pytest.raises(ConfigError, match=name):
        Recipe(ReachConfig(), **{name: noise})  # type: ignore[arg-type]


@pytest.mark.parametrize(("key", "episodes", "seed"), [("episodes", 0, 0), ("seed", 1, -1)])
def test_a_senseless_number_is_refused_by_its_key(tmp_path: Path, key: str, episodes: int, seed: int) -> None:
    with pytest.raises(ConfigError, match=key):
        collect(REACH, episodes, seed, tmp_path / "demos.zarr")


def test_an_environment_without_expert_says_what_to_do_instead(tmp_path: Path) -> None:
    pytest.importorskip("gym_pusht")
    from imitate.envs.pusht import PushTConfig

    config: EnvConfig = PushTConfig()
    with pytest.raises(EnvError, match="import demonstrations"):
        collect(Recipe(config), 1, 0, tmp_path / "demos.zarr")
