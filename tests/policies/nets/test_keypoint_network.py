"""The small network of images: it sees where things are, moves with them, and needs nothing else."""

import pytest
import torch
from torch import Tensor

from imitate.errors import ConfigError, MissingExtraError
from imitate.policies.nets import images
from imitate.policies.nets.images import ImageConfig
from imitate.policies.nets.keypoint_network import KeypointNetwork
from imitate.types import ArraySpec

NO_GOAL = torch.zeros(1, 0)


def picture(x: int, y: int, side: int = 128) -> Tensor:
    image = torch.zeros(1, 3, side, side)
    image[:, :, y - 3 : y + 3, x - 3 : x + 3] = 1.0
    return image


@pytest.mark.parametrize("way", [(8, 0), (0, 8), (-16, 8)])
def test_heat_maps_move_with_what_they_show(way: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network, x, y = KeypointNetwork(8).eval(), 64, 60
    heat: list[Tensor] = []
    network.heat.register_forward_hook(lambda _, __, out: heat.append(out))
    for at in ((x, y), (x + way[0], y + way[1])):
        network(picture(*at), NO_GOAL)
    first, moved = (map_ - map_.mean(dim=(2, 3), keepdim=True) for map_ in heat)
    back = torch.roll(moved, (-way[1] // 4, -way[0] // 4), dims=(2, 3))
    inside = (..., slice(12, 20), slice(12, 20))
    # The borders of the picture are near other things than before, and the far layers see widely.
    torch.testing.assert_close(back[inside], first[inside], atol=0.02, rtol=0)
    assert (moved[inside] - first[inside]).abs().max() > 0.2


def test_any_size_of_picture_will_do() -> None:
    for height, width in ((16, 16), (48, 90), (97, 33)):
        found = KeypointNetwork(4)(torch.rand(2, 3, height, width), NO_GOAL)
        assert found.shape == (2, 8) and (found.abs() <= 1).all()


def test_it_needs_no_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    def import_nothing(extra: str) -> None:
        raise MissingExtraError(extra)

    monkeypatch.setattr(images, "import_torchvision", import_nothing)
    with pytest.raises(MissingExtraError):
        ImageConfig("resnet18").build("camera", ArraySpec((64, 64, 3), "uint8"), 0)
    encoder = ImageConfig("small").build("camera", ArraySpec((32, 32, 3), "uint8"), 0)
    assert encoder(torch.zeros(2, 32, 32, 3, dtype=torch.uint8), NO_GOAL.expand(2, 0)).shape == (2, 64)


def test_a_goal_changes_what_it_sees_once_film_has_learnt() -> None:
    encoder = ImageConfig("small", film=True).build("camera", ArraySpec((32, 32, 3), "uint8"), 2)
    image = torch.randint(0, 256, (1, 32, 32, 3), dtype=torch.uint8)
    goals = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]])
    assert torch.equal(*(encoder.eval()(image, goal) for goal in goals))
    torch.nn.init.normal_(encoder.network.film.modulation.weight)  # type: ignore[union-attr]
    assert not torch.allclose(*(encoder(image, goal) for goal in goals))


def test_weights_that_nobody_has_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"image\.weights names a file, but .*network is small"):
        ImageConfig("small", weights="x.safetensors")
