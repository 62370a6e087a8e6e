"""What policies see: normalised states, disturbed in training alone."""

import pytest
import torch

from imitate.errors import ConfigError, SpecError
from imitate.normalize import StateEncoder
from imitate.policies.nets.images import ImageConfig
from imitate.policies.nets.observation import ObservationConfig, ObservationEncoder
from imitate.policies.nets.points import PointsConfig
from imitate.types import ArraySpec, DataSpec

OBS = {"joints": ArraySpec((3,), circular=(1,)), "task": ArraySpec((2,))}
SPEC = DataSpec(OBS, ArraySpec((2,)))


def encoder(spec: DataSpec = SPEC, **settings: object) -> ObservationEncoder:
    return ObservationConfig(**settings).build(spec, StateEncoder(spec.obs))  # type: ignore[arg-type]


def seen_of(encoder: ObservationEncoder, state: torch.Tensor) -> torch.Tensor:
    return encoder(state, {}, {})


def test_acting_sees_the_states_themselves() -> None:
    states = torch.randn(8, 2, 6)
    assert torch.equal(seen_of(encoder(noise=0.5, goal=("task",)).eval(), states), states)


def test_noise_has_its_deviation() -> None:
    torch.manual_seed(0)
    added = seen_of(encoder(noise=0.1), torch.zeros(2000, 2, 6))
    assert added.std() == pytest.approx(0.1, rel=0.05)
    assert added.mean().abs() < 0.01


def test_goals_are_dropped_whole_for_a_share_of_the_windows() -> None:
    torch.manual_seed(0)
    seen = seen_of(encoder(goal=("task",), goal_dropout=0.25), torch.ones(4000, 2, 6))
    states, goal = seen[..., :4], seen[..., 4:]
    assert (states == 1).all()
    assert ((goal == 0).flatten(1).all(1) | (goal == 1).flatten(1).all(1)).all()
    assert (goal[:, 0, 0] == 0).float().mean() == pytest.approx(0.25, abs=0.03)


def test_columns_follow_the_order_of_the_vector() -> None:
    states = StateEncoder(OBS)
    assert states.columns() == {"joints": [0, 1, 2, 3], "task": [4, 5]}
    seen = states({"joints": torch.zeros(1, 1, 3), "task": torch.full((1, 1, 2), 7.0)})
    assert (seen[..., states.columns()["task"]] == 7).all()


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match=r"policy\.observation\.noise is -0\.1, expected 0 or more"):
        ObservationConfig(noise=-0.1)
    with pytest.raises(ConfigError, match=r"policy\.observation\.goal_dropout is 1, expected"):
        ObservationConfig(goal_dropout=1)
    with pytest.raises(ConfigError, match=r"policy\.observation\.goal names 'tsk' \(did you mean 'task'\?\)"):
        encoder(goal=("tsk",))


def test_nothing_to_see_is_refused() -> None:
    with pytest.raises(SpecError, match="at least one observation"):
        encoder(DataSpec({}, ArraySpec((2,))))


def test_film_needs_a_goal() -> None:
    with pytest.raises(ConfigError, match=r"image\.film is true, but policy\.observation\.goal names no"):
        ObservationConfig(image=ImageConfig(film=True))


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        ("cloud2", ConfigError, r"points\.keys names 'cloud2' \(did you mean 'cloud'\?\)"),
        ("camera", SpecError, r"names 'camera' of shape \(48, 48, 3\), expected \(points, channels\)"),
        ("joints", SpecError, r"names 'joints' of shape \(3,\), expected \(points, channels\)"),
    ],
)
def test_what_is_no_set_of_points_is_refused(key: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ObservationConfig(points=PointsConfig((key,))).normalizer(RICH, "minmax")


RICH = DataSpec(
    {
        **OBS,
        "camera": ArraySpec((48, 48, 3), "uint8"),
        "goal": ArraySpec((48, 48, 3), "uint8"),
        "cloud": ArraySpec((5, 3)),
    },
    ArraySpec((2,)),
)


class Eye:
    """Normaliser and encoder of RICH together, as a policy holds them."""

    def __init__(self, **settings: object) -> None:
        torch.manual_seed(0)
        config = ObservationConfig(points=PointsConfig(("cloud",)), goal=("task", "goal"), **settings)  # type: ignore[arg-type]
        self.normalizer = config.normalizer(RICH, "minmax")
        self.encoder = config.build(RICH, self.normalizer.state)

    def __call__(self, obs: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.encoder(self.normalizer.state(obs), self.normalizer.normal_points(obs), obs)


def rich_obs(rows: int = 3) -> dict[str, torch.Tensor]:
    def image() -> torch.Tensor:
        return torch.randint(0, 256, (rows, 2, 48, 48, 3), dtype=torch.uint8)

    return {
        "joints": torch.randn(rows, 2, 3),
        "task": torch.randn(rows, 2, 2),
        "camera": image(),
        "goal": image(),
        "cloud": torch.randn(rows, 2, 5, 3),
    }


def test_everything_that_is_observed_is_seen() -> None:
    eye = Eye()
    eye.encoder.eval()
    obs = rich_obs()
    before = eye(obs)
    assert before.shape == (3, 2, eye.encoder.size)
    for key, value in obs.items():
        other = {**obs, key: value.flip(0)}
        changed = (eye(other) != before).any(dim=(0, 1))
        assert changed.any(), key
        assert not changed.all(), key


def test_states_are_not_needed() -> None:
    spec = DataSpec({"camera": RICH.obs["camera"]}, ArraySpec((2,)))
    config = ObservationConfig()
    normalizer = config.normalizer(spec, "minmax")
    eye = config.build(spec, normalizer.state)
    obs = {"camera": rich_obs()["camera"]}
    assert eye(normalizer.state(obs), {}, obs).shape == (3, 2, 64)


def test_a_dropped_goal_hides_its_image_too() -> None:
    eye = Eye(goal_dropout=0.999999, image=ImageConfig(crop=1.0, film=True))
    obs = rich_obs()
    assert torch.equal(eye(obs), eye({**obs, "goal": obs["goal"].flip(0), "task": obs["task"] + 1}))


def test_film_lets_the_goal_change_what_is_seen_of_a_camera() -> None:
    eye = Eye(image=ImageConfig(film=True))
    for part in eye.encoder.images["camera"].network.film:
        torch.nn.init.normal_(part.modulation.weight, std=0.1)
    eye.encoder.eval()
    obs = rich_obs()
    # Order: states (6), the goal's image, the camera, the points, 64 features each.
    camera = slice(6 + 64, 6 + 128)
    assert not torch.allclose(eye(obs)[..., camera], eye({**obs, "task": obs["task"] + 1})[..., camera])
    plain = Eye()
    plain.encoder.eval()
    assert torch.equal(plain(obs)[..., camera], plain({**obs, "task": obs["task"] + 1})[..., camera])
