"""Camera images as a few numbers: near where the scene is alike, the same twice, and never all in memory."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import planted_reaches
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from imitate.cli.main import main
from imitate.curation import image_encoders
from imitate.curation.embedding import COLUMNS, Embedding, embed, side_by_side
from imitate.curation.measuring import measure
from imitate.curation.report import write_report
from imitate.datasets import rows, stored_array
from imitate.datasets.store import DemoStore
from imitate.errors import ConfigError
from imitate.policies.nets.torchvision_import import import_torchvision
from imitate.progress import Silent, Task
from imitate.types import ArraySpec, DataSpec, Episode

SIDE = 48
NEEDS_TORCHVISION = pytest.mark.skipif(
    importlib.util.find_spec("torchvision") is None, reason="needs the extra images"
)


def pictures(places: np.ndarray, side: int = SIDE, seed: int = 0) -> np.ndarray:
    """A red dot at `places` (T, 2), in units of the image's side, on a still background, with noise."""
    down, right = np.mgrid[:side, :side] / side
    gap = np.hypot(right - places[:, :1, None], down - places[:, 1:, None]) * side
    dot = np.clip(1.5 - gap / (side / 16), 0, 1)[..., None]
    still = np.stack([60 + 80 * right, np.full_like(right, 90), 120 - 50 * down], axis=-1)
    noise = np.random.default_rng(seed).normal(0, 5, (*dot.shape[:3], 3))
    return ((1 - dot) * still + dot * np.array([230, 60, 40]) + noise).clip(0, 255).astype(np.uint8)


def store_of(
    path: Path,
    places: list[np.ndarray],
    actions: list[np.ndarray],
    side: int = SIDE,
    states: bool = False,
    cameras: tuple[str, ...] = ("camera",),
) -> DemoStore:
    """Episodes seen by `cameras`, and by their places where `states` says so."""
    specs = {key: ArraySpec((side, side, 3), "uint8") for key in cameras}
    specs |= {"place": ArraySpec((2,))} if states else {}
    store = DemoStore.create(path, DataSpec(specs, ArraySpec((2,))))
    for i, (place, action) in enumerate(zip(places, actions, strict=True)):
        obs = {key: pictures(place, side, seed=i) for key in cameras}
        obs |= {"place": place.astype(np.float32)} if states else {}
        store.append(Episode(f"e{i:02d}", obs, action.astype(np.float32)))
    store.close()
    return store


def scattered(path: Path, episodes: int, steps: int, seed: int = 0, **options: object) -> DemoStore:
    places = list(np.random.default_rng(seed).uniform(0.1, 0.9, (episodes, steps, 2)))
    return store_of(path, places, places, **options)  # type: ignore[arg-type]


def overlap(features: np.ndarray, places: np.ndarray, k: int = 10) -> float:
    """Share of the k nearest by `features` that are also among the k nearest by place."""
    near, truly = (_nearest(values.astype(np.float64), k) for values in (features, places))
    return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(near, truly, strict=True)]))


def _nearest(points: np.ndarray, k: int) -> np.ndarray:
    squares = np.sum(points**2, axis=1)
    squared = squares[:, None] + squares - 2 * points @ points.T
    np.fill_diagonal(squared, np.inf)
    return np.argsort(squared, axis=1)[:, :k]


@pytest.fixture(scope="module")
def dots(tmp_path_factory: pytest.TempPathFactory) -> DemoStore:
    return scattered(tmp_path_factory.mktemp("dots") / "d.zarr", 10, 60, states=True)


@pytest.fixture
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardly any training, for what does not depend on it."""
    monkeypatch.setattr(image_encoders, "STEPS", 10)


@pytest.fixture(scope="module")
def embedded(dots: DemoStore) -> Embedding:
    return embed(dots, "always")


def test_neighbours_in_the_embedding_are_neighbours_in_the_scene(
    dots: DemoStore, embedded: Embedding
) -> None:
    features, places = embedded.features["camera"], dots.array("place")[:]
    assert features.shape == (600, COLUMNS) and features.dtype == np.float32
    colour = dots.array("camera")[:].reshape(600, -1, 3).mean(axis=1)
    # By chance 10 / 599.
    assert overlap(features, places) > 0.7 > 4 * overlap(colour, places)
    assert overlap(features / features.std(axis=0), places) > 0.6


def test_columns_are_principal_components(embedded: Embedding) -> None:
    features = embedded.features["camera"].astype(np.float64)
    covariance = np.cov(features.T)
    assert np.all(np.diff(np.diag(covariance)) <= 0)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-3 * covariance[0, 0]
    assert np.abs(features.mean(axis=0)).max() < 1e-3 * features[:, 0].std()


@pytest.mark.usefixtures("briefly")
def test_the_same_seed_gives_the_same_numbers(dots: DemoStore) -> None:
    first = embed(dots, "always").features["camera"]
    torch.manual_seed(123)
    before = torch.get_rng_state()
    again = embed(dots, "always").features["camera"]
    assert np.array_equal(again, first)
    assert torch.equal(torch.get_rng_state(), before)
    assert not np.array_equal(embed(dots, "always", seed=1).features["camera"], again)


@pytest.mark.usefixtures("briefly")
def test_images_are_read_block_by_block(dots: DemoStore, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = embed(dots, "always").features["camera"]
    row, read = SIDE * SIDE * 3, []
    limit = 2 * row * dots.array("camera").chunk_rows
    plain = stored_array.StoredArray.__getitem__

    def watched(self: stored_array.StoredArray, picked: slice | int | np.ndarray) -> np.ndarray:
        found = plain(self, picked)
        read.append(found.nbytes)
        return found

    monkeypatch.setattr(rows, "BLOCK_BYTES", limit)
    monkeypatch.setattr(stored_array.StoredArray, "__getitem__", watched)
    features = embed(dots, "always").features["camera"]
    assert max(read) <= limit < 600 * row
    assert sum(read) == 2 * 600 * row  # once to learn from, once to embed
    assert np.allclose(features, at_once, atol=1e-4)


@pytest.mark.usefixtures("briefly")
def test_cameras_are_embedded_where_there_are_no_states_or_when_asked(
    tmp_path: Path, dots: DemoStore
) -> None:
    blind = scattered(tmp_path / "b.zarr", 2, 10, side=16, cameras=("left", "right"))
    assert embed(dots, "auto").features == {} and embed(dots, "auto").encoder == ""
    assert embed(blind, "never").features == {}
    found = embed(blind, "auto")
    assert list(found.features) == ["left", "right"]
    assert found.encoder == "an autoencoder trained on these images"


@pytest.mark.usefixtures("briefly")
def test_images_that_never_change_say_nothing(tmp_path: Path) -> None:
    spec = DataSpec({"camera": ArraySpec((40, 30, 3), "uint8")}, ArraySpec((1,)))
    store = DemoStore.create(tmp_path / "d.zarr", spec)
    for i in range(3):
        store.append(Episode(str(i), {"camera": np.full((9, 40, 30, 3), 7, np.uint8)}, np.zeros((9, 1))))
    features = embed(store).features["camera"]
    assert np.isfinite(features).all()
    assert side_by_side(np.empty((27, 0)), [features]).shape == (27, 0)


@given(st.integers(0, 6), st.integers(0, 3), st.integers(0, 1000))
def test_states_and_each_camera_count_alike(states: int, cameras: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    scales = 10.0 ** generator.uniform(-3, 3, states)
    state = generator.normal(size=(50, states)) * scales
    views = [generator.normal(size=(50, COLUMNS)) * np.linspace(3, 0.1, COLUMNS) for _ in range(cameras)]
    together = side_by_side(state, views)
    assert together.shape == (50, states + cameras * COLUMNS)
    if together.shape[1]:
        sizes = [size for size in [states] + [COLUMNS] * cameras if size]
        parts = np.split(np.mean(together**2, axis=0), np.cumsum(sizes)[:-1])
        assert [part.sum() for part in parts] == pytest.approx([together.shape[1] / len(sizes)] * len(sizes))
    for number, view in enumerate(views):
        low = states + number * COLUMNS
        ratio = together[:, low : low + COLUMNS] / (view - view.mean(axis=0))
        assert np.allclose(ratio, ratio[0, 0])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_faults_are_found_in_pictures_alone(tmp_path: Path, seed: int) -> None:
    reaches, kinds = planted_reaches.planted(seed, clean=24, each=2)
    places = [(one.state + np.array([1.6, 0.4])) / np.array([3.2, 2.4]) for one in reaches]
    store = store_of(tmp_path / "d.zarr", places, [one.action for one in reaches], side=32)
    measured = measure(store)
    quality = np.array([episode.quality for episode in measured.episodes])
    planted = np.array(kinds) != "clean"
    worse = quality[planted][:, None] < quality[~planted]
    assert worse.mean() >= 0.9
    named = {kind: e.fault for kind, e in zip(kinds, measured.episodes, strict=True)}
    assert named["noisy"] == "noisy" and named["slow"] == "slow"
    assert all(measured.episodes[i].fault for i in np.flatnonzero(planted))
    assert np.ptp(measured.projection, axis=0).min() > 0 and measured.agreement is not None


class Watching(Silent):
    """Notes what is shown."""

    def __init__(self) -> None:
        self.total, self.done, self.notes = 0.0, 0.0, set[str]()

    @contextmanager
    def task(self, label: str, total: float, unit: str = "") -> Iterator[Task]:
        self.total += total if label == "embed" else 0
        yield self if label == "embed" else _Nobody()

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self.done += amount
        self.notes.add(note)


class _Nobody:
    def advance(self, amount: float = 1.0, note: str = "") -> None:
        pass


@pytest.mark.usefixtures("briefly")
def test_the_report_says_how_images_were_seen(tmp_path: Path) -> None:
    store = scattered(tmp_path / "d.zarr", 4, 12, side=16, states=True)
    watching = Watching()
    report = write_report(store, tmp_path / "r.html", watching, images="always")
    words = "states and camera, seen by an autoencoder trained on these images"
    assert report.content["compared_by"] == words
    page = report.page.read_text(encoding="utf-8")
    assert words in page and "images=always" in page
    assert watching.done == watching.total > 0
    assert watching.notes == {"reading camera", "learning camera", "embedding camera"}


@pytest.mark.usefixtures("briefly")
def test_states_alone_are_compared_as_before(tmp_path: Path) -> None:
    store = scattered(tmp_path / "d.zarr", 4, 12, side=16, states=True)
    one, other = measure(store), measure(store, images="never")
    assert one.compared_by == other.compared_by == "states"
    assert one.frames is not None and other.frames is not None
    assert one.frames.state.shape == (48, 2) and np.array_equal(one.frames.state, other.frames.state)


@NEEDS_TORCHVISION
def test_a_given_network_sees_where_things_are(tmp_path: Path, dots: DemoStore) -> None:
    torch.manual_seed(0)
    network = import_torchvision("images").models.resnet18()
    file = tmp_path / "resnet.safetensors"
    save_file(network.state_dict(), file)
    store = scattered(tmp_path / "d.zarr", 4, 20, states=True)
    found = embed(store, str(file))
    assert found.encoder == f"ResNet-18 with the weights of {file}"
    features = found.features["camera"]
    assert features.shape == (80, COLUMNS) and np.isfinite(features).all()
    # Random weights, which no user has; still far above chance, 10 / 79.
    assert overlap(features, store.array("place")[:]) > 0.3


@NEEDS_TORCHVISION
@pytest.mark.parametrize(
    ("images", "words"),
    [
        ("sometimes", "expected auto, always, never, or a .safetensors file"),
        ("resnet.pth", "expected auto, always, never, or a .safetensors file"),
        ("absent.safetensors", "absent.safetensors cannot be read"),
        ("other.safetensors", "other.safetensors has 'weight', which the network does not"),
    ],
)
def test_a_wrong_encoder_is_one_clear_line(
    tmp_path: Path,
    images: str,
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    save_file({"weight": torch.zeros(3)}, "other.safetensors")
    store = scattered(tmp_path / "d.zarr", 3, 5, side=16, states=True)
    with pytest.raises(ConfigError, match=r"^images"):
        embed(store, images)
    for verb, out in (("report", "r.html"), ("curate", "k.json")):
        assert main([verb, "data.path=d.zarr", f"out={out}", f"images={images}"]) == 2
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1
        assert not Path(out).exists()
