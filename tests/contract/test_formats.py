"""What every format promises: one recogniser each, the same numbers after an import, one line for damage."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from damage import KINDS, Damage, copy, listing
from format_samples import SAMPLES
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from imitate.datasets.formats import PLAIN, format_of, formats
from imitate.datasets.importing import export_store, import_file, read_foreign
from imitate.datasets.store import DemoStore
from imitate.errors import DataError, ImitateError
from imitate.progress import Silent, Task
from imitate.types import ArraySpec, DataSpec, Episode

FORMATS = {found.key: found for found in formats()}
WRITABLE = sorted(key for key, found in FORMATS.items() if found.write)
CASES = Path(__file__).parent / "fuzz_cases"
FUZZ = settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


class Interrupted(Silent):
    """Somebody presses Ctrl-C when the first unit of the work named `label` is done."""

    def __init__(self, label: str) -> None:
        self.label = label

    @contextmanager
    def task(self, label: str, total: float, unit: str = "") -> Iterator[Task]:
        with super().task(label, total, unit) as task:
            yield _Interrupting() if label == self.label else task


class _Interrupting:
    def advance(self, amount: float = 1.0, note: str = "") -> None:
        raise KeyboardInterrupt


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A sample of each format, made once: tests damage copies."""
    return {key: make(tmp_path_factory.mktemp(key)) for key, make in SAMPLES.items()}


def test_every_format_has_a_sample() -> None:
    assert sorted(SAMPLES) == sorted(FORMATS)


def test_every_module_that_reads_a_format_is_found() -> None:
    """Modules in the folder that are no format must not look like one."""
    assert len(FORMATS) == len(formats()), "two formats have the same key"
    for found in formats():
        assert found.title and "\n" not in found.title


@pytest.mark.parametrize("key", FORMATS)
def test_exactly_one_format_recognises_the_sample(key: str, samples: dict[str, Path]) -> None:
    assert [found.key for found in formats() if found.recognises(samples[key])] == [key]


@pytest.mark.parametrize("key", FORMATS)
def test_what_is_imported_is_what_was_read(key: str, samples: dict[str, Path], tmp_path: Path) -> None:
    before = listing(samples[key].parent)
    foreign, title = read_foreign(samples[key])
    assert title == FORMATS[key].title
    report = import_file(samples[key], tmp_path / "out.zarr")
    store = DemoStore.open(report.out)
    read = list(foreign.episodes())
    assert len(store) == len(foreign) == len(read) == report.episodes > 0
    assert store.source == foreign.source
    for index, episode in enumerate(read):
        store.verify(index)
        require_same(store.episode(index), episode)
    assert all(isinstance(item, str) and item.strip() and "\n" not in item for item in report.left_out)
    assert listing(samples[key].parent) == before, "reading changes nothing"


def require_same(stored: Episode, read: Episode) -> None:
    assert (stored.id, stored.success, stored.rate_hz) == (read.id, read.success, read.rate_hz)
    assert set(stored.obs) == set(read.obs)
    for name, array in {**read.obs, "action": read.action}.items():
        found = stored.action if name == "action" else stored.obs[name]
        assert np.array_equal(found, array), name
        assert np.isfinite(array).all(), name


@pytest.mark.parametrize("key", FORMATS)
@pytest.mark.parametrize("label", ["import", "check"])
def test_an_interrupted_import_leaves_nothing(
    key: str, label: str, samples: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        import_file(samples[key], tmp_path / "out.zarr", Interrupted(label))
    assert not listing(tmp_path)


@pytest.fixture(scope="module")
def small_store(tmp_path_factory: pytest.TempPathFactory) -> DemoStore:
    """Two episodes with a state and a camera whose pictures any codec keeps nearly as they are."""
    camera = ArraySpec((64, 96, 3), "uint8")
    state = ArraySpec((3,), names=("x", "y", "angle"), units=("m", "m", "rad"))
    spec = DataSpec({"state": state, "camera": camera}, ArraySpec((2,)), 10.0)
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("store") / "small.zarr"
    with DemoStore.create(path, spec, "test") as store:
        for number, steps in enumerate((7, 5)):
            ramp = np.linspace(40, 200, 96)[None, None, :, None] + 4.0 * np.arange(steps)[:, None, None, None]
            images = np.broadcast_to(ramp, (steps, 64, 96, 3)).astype(np.uint8)
            obs = {"state": rng.normal(size=(steps, 3)).astype(np.float32), "camera": images}
            action = rng.normal(size=(steps, 2)).astype(np.float32)
            store.append(Episode(f"demo_{number}", obs, action, success=bool(number), rate_hz=10.0))
    return DemoStore.open(path)


@pytest.mark.parametrize("key", WRITABLE)
def test_what_is_written_is_read_again(key: str, small_store: DemoStore, tmp_path: Path) -> None:
    report = export_store(small_store, tmp_path / "written", key)
    found = format_of(report.out)
    assert found and found.key == key
    back = list(found.read(report.out, PLAIN).episodes())
    assert len(back) == len(small_store)
    for episode, written in zip(back, small_store.episodes(), strict=True):
        assert np.array_equal(episode.action, written.action)
        for name in ("state", "camera"):
            assert_close(episode, written, name)


def assert_close(found: Episode, written: Episode, name: str) -> None:
    """Formats have rules for names: "state" may come back as "observation.state" or the like."""
    key = next(key for key in found.obs if name in key)
    difference = np.abs(found.obs[key].astype(float) - written.obs[name])
    assert found.obs[key].shape == written.obs[name].shape
    assert difference.max() <= (0 if name == "state" else 12), name


@pytest.mark.parametrize("key", WRITABLE)
def test_an_interrupted_export_leaves_nothing(
    key: str, small_store: DemoStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = type(small_store).array

    def interrupted(self: DemoStore, name: str) -> object:
        if name == "action":
            raise KeyboardInterrupt
        return read(self, name)

    monkeypatch.setattr(type(small_store), "array", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_store(small_store, tmp_path / "written", key)
    assert not listing(tmp_path)


def kept_cases() -> list[tuple[str, Damage]]:
    """Damage that once went wrong."""
    lines = [line for file in sorted(CASES.glob("*.jsonl")) for line in file.read_text().splitlines()]
    found = [json.loads(line) for line in lines]
    return [(item["format"], Damage(**item["case"])) for item in found]


@pytest.mark.parametrize(("key", "damage"), kept_cases(), ids=str)
def test_damage_that_once_went_wrong(
    key: str, damage: Damage, samples: dict[str, Path], tmp_path: Path
) -> None:
    require_one_line(samples[key], damage, tmp_path)


DAMAGE = st.builds(
    Damage,
    kind=st.sampled_from(sorted(KINDS)),
    file=st.integers(0, 30),
    place=st.floats(0, 1),
    value=st.integers(0, 1000),
)


@pytest.mark.slow
@pytest.mark.parametrize("key", FORMATS)
@FUZZ
@example(Damage("truncate", place=0.0))
@example(Damage("truncate", place=0.5))
@example(Damage("truncate", place=0.999))
@given(damage=DAMAGE)
def test_damage_is_answered_in_one_line(
    key: str, samples: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, damage: Damage
) -> None:
    require_one_line(samples[key], damage, tmp_path_factory.mktemp("damaged"))


def require_one_line(src: Path, damage: Damage, folder: Path) -> None:
    """A damaged copy is imported, or answered in one line that names it; nothing else is written."""
    damaged = copy(src, folder)
    damage.do(damaged)
    before, out = listing(folder), folder / "out.zarr"
    try:
        report = import_file(damaged, out)
    except ImitateError as error:
        assert "\n" not in str(error)
        assert damaged.name in str(error)
        assert listing(folder) == before
    else:
        assert len(DemoStore.open(out)) == report.episodes
        assert {
            name: size for name, size in listing(folder).items() if Path(name).parts[0] != out.name
        } == before


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_damage_takes_neither_much_memory_nor_the_process(tmp_path: Path) -> None:
    """In a process of its own, which may take 2 GiB of addresses beyond what valid samples took."""
    script = Path(__file__).parents[1] / "stand_ins/damaged_imports.py"
    command = [sys.executable, str(script), str(tmp_path), "--count", "8"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    last = tmp_path / "last.json"
    assert done.returncode == 0, (last.read_text() if last.exists() else "", done.stderr[-2000:])
    *problems, summary = done.stdout.splitlines()
    assert not problems
    assert json.loads(summary)["more_memory_mib"] < 512


@pytest.mark.parametrize("kind", ["file", "folder", "text", "link"])
def test_what_is_nothing_is_said_to_be_nothing(kind: str, tmp_path: Path) -> None:
    src = tmp_path / "nothing"
    if kind == "folder":
        src.mkdir()
    elif kind == "link":
        src.symlink_to(tmp_path / "nowhere")
    else:
        src.write_text("" if kind == "file" else "hello, world\n" * 100)
    before = sorted(child.name for child in tmp_path.iterdir())
    with pytest.raises(DataError, match="nothing"):
        import_file(src, tmp_path / "out.zarr")
    assert sorted(child.name for child in tmp_path.iterdir()) == before
