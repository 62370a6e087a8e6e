"""Augmentations: one draw per window, within bounds, by the seed alone, and none when acting."""

import pytest
import torch

from imitate.errors import ConfigError
from imitate.normalize import Normalizer
from imitate.policies.nets.augmentation import central_crop, jitter, random_crop, visible
from imitate.policies.nets.images import ImageConfig
from imitate.policies.nets.observation import ObservationConfig
from imitate.policies.nets.torchvision_import import import_torchvision
from imitate.types import ArraySpec, DataSpec

FRAMES = 3


def noise(count: int, size: int = 12) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def windows(count: int = 8, size: int = 12) -> torch.Tensor:
    """`count` windows, all FRAMES frames of each the same."""
    return noise(count, size).repeat_interleave(FRAMES, dim=0)


def test_all_frames_of_a_window_are_shifted_alike_and_windows_are_not() -> None:
    torch.manual_seed(0)
    crops = random_crop(windows(), (8, 9), FRAMES).unflatten(0, (8, FRAMES))
    assert crops.shape == (8, FRAMES, 3, 8, 9)
    assert torch.equal(crops, crops[:, :1].expand_as(crops))
    same = random_crop(noise(1).expand(60, -1, -1, -1), (8, 9), 1)
    assert len({tuple(crop.flatten().tolist()) for crop in same}) > 10


def test_crops_are_parts_of_their_own_image() -> None:
    x = noise(4, 6)
    for image, crop in zip(x, random_crop(x, (5, 5), 1), strict=True):
        places = [image[:, i : i + 5, j : j + 5] for i in (0, 1) for j in (0, 1)]
        assert any(torch.equal(crop, place) for place in places)
    assert torch.equal(random_crop(x, (6, 6), 2), x)
    assert torch.equal(central_crop(x, (4, 2)), x[:, :, 1:5, 2:4])


def test_jitter_is_one_draw_per_window_and_stays_a_picture() -> None:
    torch.manual_seed(0)
    x = windows(20)
    changed = jitter(x, 0.3, FRAMES)
    assert changed.shape == x.shape
    assert changed.min() >= 0
    assert changed.max() <= 1
    by_window = changed.unflatten(0, (20, FRAMES))
    assert torch.equal(by_window, by_window[:, :1].expand_as(by_window))
    assert ((changed - x).abs().flatten(1).max(dim=1).values > 0.01).sum() > 50
    grey = torch.full((2, 3, 4, 4), 0.5)
    brightness = jitter(grey, 0.2, 1)[:, 0, 0, 0]  # nothing but brightness changes an even grey
    assert ((brightness - 0.5).abs() <= 0.1 + 1e-6).all()
    torch.testing.assert_close(jitter(x, 0.0, FRAMES), x)


def test_jitter_is_what_torchvision_does() -> None:
    functional = import_torchvision("images").transforms.functional
    x = noise(1)
    torch.manual_seed(5)
    factors = (1 + 0.4 * (2 * torch.rand(3, 1, 1, 1, 1) - 1)).flatten().tolist()
    expected = functional.adjust_brightness(x, factors[0])
    expected = functional.adjust_contrast(expected, factors[1])
    expected = functional.adjust_saturation(expected, factors[2])
    torch.manual_seed(5)
    torch.testing.assert_close(jitter(x, 0.4, 1), expected, atol=1e-3, rtol=0)


def test_the_same_seed_gives_the_same_changes() -> None:
    results = []
    for _ in range(2):
        torch.manual_seed(7)
        results.append(jitter(random_crop(windows(), (8, 8), FRAMES), 0.3, FRAMES))
    assert torch.equal(*results)


def test_the_mask_hides_its_rectangle() -> None:
    seen = visible((10, 20), (0.0, 0.5, 0.3, 1.0))
    assert seen[:3, 10:].sum() == 0
    assert seen.sum() == 200 - 30


SPEC = DataSpec(
    {"front": ArraySpec((96, 96, 3), "uint8"), "wrist": ArraySpec((96, 96, 3), "uint8")}, ArraySpec((2,))
)


def features(image: ImageConfig, obs: dict[str, torch.Tensor], training: bool) -> torch.Tensor:
    torch.manual_seed(0)
    config = ObservationConfig(image=image)
    encoder = config.build(SPEC, Normalizer(SPEC, "minmax", "minmax", ()).state).train(training)
    state = torch.zeros(1, 2, 0)
    torch.manual_seed(1)
    return encoder(state, {}, obs).detach()


def pictures(seed: int = 0) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    frames = {
        key: torch.randint(0, 256, (1, 1, 96, 96, 3), dtype=torch.uint8, generator=rng) for key in SPEC.obs
    }
    return {key: frame.expand(-1, 2, -1, -1, -1) for key, frame in frames.items()}


def test_policies_see_a_window_changed_alike_in_training_and_unchanged_when_acting() -> None:
    image = ImageConfig("vit_tiny", features=8, jitter=0.3)
    both = features(image, pictures(), training=True)
    torch.testing.assert_close(both[:, 0], both[:, 1])
    plain = ImageConfig("vit_tiny", features=8)
    acting = features(image, pictures(), training=False)
    assert torch.equal(acting, features(plain, pictures(), training=False))
    assert not torch.allclose(both, acting)


def test_what_is_masked_has_no_influence_in_training_or_acting() -> None:
    image = ImageConfig("vit_tiny", features=8, crop=1.0, masked=("wrist",), mask=(0.0, 0.0, 0.5, 1.0))
    one = pictures()
    hidden, shown = ({key: frame.clone() for key, frame in one.items()} for _ in range(2))
    hidden["wrist"][:, :, :48] = 7
    shown["front"][:, :, :48] = 7
    for training in (True, False):
        expected = features(image, one, training)
        assert torch.equal(features(image, hidden, training), expected)
        assert not torch.equal(features(image, shown, training), expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"jitter": 1.0}, "image.jitter is 1.0"),
        ({"jitter": -0.1}, "image.jitter is -0.1"),
        ({"mask": (0.5, 0.0, 0.5, 1.0)}, r"image.mask is \[0.5, 0.0, 0.5, 1.0\]"),
        ({"mask": (0.0, 0.0, 1.5, 1.0)}, "image.mask"),
    ],
)
def test_settings_name_their_key(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ImageConfig(**settings)  # type: ignore[arg-type]


def test_a_masked_camera_must_be_there() -> None:
    with pytest.raises(ConfigError, match=r"image.masked names 'wirst' \(did you mean 'wrist'"):
        features(ImageConfig("vit_tiny", masked=("wirst",)), pictures(), False)
