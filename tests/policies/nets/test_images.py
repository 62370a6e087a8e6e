"""Networks of camera images: places found by spatial softmax, crops, and weights from a file."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from imitate.errors import ConfigError, MissingExtraError, SpecError
from imitate.policies.nets.images import ImageConfig, ImageEncoder, spatial_softmax
from imitate.policies.nets.torchvision_import import import_torchvision
from imitate.types import ArraySpec

CAMERA = ArraySpec((96, 96, 3), "uint8")
NO_GOAL = torch.zeros(1, 0)


def made(goal_size: int = 0, **settings: object) -> ImageEncoder:
    torch.manual_seed(0)
    return ImageConfig(**settings).build("camera", CAMERA, goal_size)  # type: ignore[arg-type]


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, (*shape, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("place", [(0, 0), (4, 2), (8, 6)])
def test_spatial_softmax_finds_the_peak(place: tuple[int, int]) -> None:
    row, column = place
    heat = torch.zeros(1, 1, 9, 7)
    heat[0, 0, row, column] = 50.0
    torch.testing.assert_close(
        spatial_softmax(heat), torch.tensor([[column / 3 - 1, row / 4 - 1]]), atol=1e-5, rtol=0
    )


def test_acting_looks_at_the_middle_and_training_anywhere() -> None:
    encoder = made(crop=0.5)
    encoder.network = Flat(3 * 8 * 8)  # type: ignore[assignment]
    encoder.out = nn.Identity()  # type: ignore[assignment]
    image = noise(1, 16, 16)
    standard = (image.movedim(-1, 1).float() / 255 - encoder.mean) / encoder.std
    encoder.eval()
    assert torch.equal(encoder(image, NO_GOAL), standard[:, :, 4:12, 4:12].flatten(1))
    crops = {
        (top, left): standard[0, :, top : top + 8, left : left + 8] for top in range(9) for left in range(9)
    }
    encoder.train()
    found = set()
    for crop in encoder(image.expand(600, -1, -1, -1), NO_GOAL).unflatten(1, (3, 8, 8)):
        found |= {place for place, expected in crops.items() if torch.equal(crop, expected)}
    assert found == set(crops)


class Flat(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor, goal: Tensor) -> Tensor:
        return x.flatten(1)


@pytest.mark.parametrize("network", ["resnet18", "vit_tiny"])
def test_an_image_says_the_same_alone_and_among_others(network: str) -> None:
    encoder = made(network=network, resize=(40, 48), features=10).eval()
    images = noise(3, 60, 80)
    together = encoder(images, NO_GOAL.expand(3, -1))
    assert together.shape == (3, 10)
    alone = torch.cat([encoder(image[None], NO_GOAL) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(together[0], together[1])


@pytest.mark.parametrize("network", ["resnet18", "vit_tiny"])
def test_weights_of_torchvision_are_taken_over(network: str, tmp_path: Path) -> None:
    torchvision = import_torchvision("images")
    torch.manual_seed(1)
    models = torchvision.models
    given = models.resnet18() if network == "resnet18" else models.VisionTransformer(96, 12, 4, 3, 192, 768)
    file = tmp_path / "weights.safetensors"
    save_file(given.state_dict(), file)
    norm = "frozen_batch" if network == "resnet18" else "group"
    encoder = made(network=network, weights=str(file), norm=norm, crop=1.0)
    before = encoder.network.body.conv1.weight.clone() if network == "resnet18" else None
    encoder.load_weights()
    taken = encoder.network.body.state_dict()
    assert taken
    assert all(torch.equal(value, given.state_dict()[name]) for name, value in taken.items())
    assert before is None or not torch.equal(before, taken["conv1.weight"])
    if network == "resnet18":
        # The same features as torchvision's own network, up to where its head begins.
        given.eval()
        x = torch.randn(2, 3, 64, 64)
        seen: list[Tensor] = []
        encoder.network.heat.register_forward_hook(lambda _, args, __: seen.append(args[0]))
        given.layer4.register_forward_hook(lambda _, __, out: seen.append(out))
        encoder.eval().network(x, NO_GOAL.expand(2, -1))
        given(x)
        torch.testing.assert_close(seen[0], seen[1], atol=1e-4, rtol=1e-4)


def test_group_normalisation_leaves_the_statistics_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    save_file(import_torchvision("images").models.resnet18().state_dict(), file)
    made(weights=str(file)).load_weights()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("conv1.weight"), "lacks 'conv1.weight'"),
        (lambda w: w.update(stem=torch.zeros(2)), "has 'stem', which the network does not"),
        (
            lambda w: w.update({"conv1.weight": torch.zeros(64, 1, 7, 7)}),
            r"'conv1.weight' has shape \[64, 1, 7, 7\]",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(change, message: str, tmp_path: Path) -> None:
    weights = import_torchvision("images").models.resnet18().state_dict()
    change(weights)
    file = tmp_path / "weights.safetensors"
    save_file(weights, file)
    with pytest.raises(ConfigError, match=message):
        made(weights=str(file)).load_weights()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet18.pth", "expected a .safetensors file; a .pth file"),
        ("none.safetensors", "none.safetensors cannot be read"),
        ("bad.safetensors", "bad.safetensors cannot be read"),
    ],
)
def test_files_that_cannot_be_read_are_refused(name: str, message: str, tmp_path: Path) -> None:
    if name.startswith("bad"):
        (tmp_path / name).write_bytes(b"not weights")
    with pytest.raises(ConfigError, match=message):
        made(weights=str(tmp_path / name)).load_weights()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"network": "resnet"}, "image.network is 'resnet' .did you mean 'resnet18'"),
        ({"crop": 0.0}, "image.crop is 0.0, expected 0.1 to 1"),
        ({"resize": (4, 90)}, r"image.resize is \[4, 90\], expected"),
        ({"keypoints": 0}, "image.keypoints is 0, expected at least 1"),
        ({"norm": "frozen_batch"}, "frozen_batch, which takes its statistics"),
    ],
)
def test_settings_that_cannot_be(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ImageConfig(**settings)


def test_images_in_which_nothing_has_a_place_are_refused() -> None:
    with pytest.raises(
        SpecError, match=r"'wrist': resnet18 would see 29 x 58 px of 32 x 64, expected more than 32"
    ):
        ImageConfig().build("wrist", ArraySpec((32, 64, 3), "uint8"), 0)
    ImageConfig(network="vit_tiny").build("wrist", ArraySpec((32, 64, 3), "uint8"), 0)


def test_without_torchvision_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str, *_: object) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("importlib.import_module", absent)
    with pytest.raises(MissingExtraError, match=r"imitate\[images\]"):
        made()
