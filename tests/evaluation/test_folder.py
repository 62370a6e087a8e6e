"""A result folder is replaced when the new one is complete, and nothing else in it is touched."""

from pathlib import Path

import pytest

from imitate.errors import DataError
from imitate.evaluation.folder import replacing

NAMES = ("videos", "index.html", "rollout.json")


def fill(folder: Path, text: str, *videos: str) -> None:
    (folder / "rollout.json").write_text(text)
    (folder / "videos").mkdir()
    for name in videos:
        (folder / "videos" / name).write_text(text)


def content(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_a_new_folder_appears_only_when_complete(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with replacing(out, NAMES) as fresh:
        fill(fresh, "new", "seed_1.mp4")
        assert not out.exists()
    assert content(out) == {"rollout.json": "new", "videos/seed_1.mp4": "new"}
    assert [p.name for p in out.parent.iterdir()] == ["out"]


def test_an_earlier_result_is_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    fill(out, "old", "seed_1.mp4", "seed_2.mp4")
    (out / "index.html").write_text("old")
    (out / "best.safetensors").write_text("weights")
    with replacing(out, NAMES) as fresh:
        fill(fresh, "new", "seed_3.mp4")
    assert content(out) == {
        "rollout.json": "new",
        "videos/seed_3.mp4": "new",
        "best.safetensors": "weights",
    }


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_everything_as_it_was(tmp_path: Path, failure: type[BaseException]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    fill(out, "old", "seed_1.mp4")
    before = content(tmp_path)
    with pytest.raises(failure), replacing(out, NAMES) as fresh:
        fill(fresh, "new")
        raise failure
    assert content(tmp_path) == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_what_is_not_ours_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file"), replacing(tmp_path / "file", NAMES):
        pytest.fail("started work")
    (tmp_path / "out" / "videos").mkdir(parents=True)
    (tmp_path / "out" / "videos" / "holiday.txt").write_text("")
    with pytest.raises(DataError, match=r"holiday.txt"), replacing(tmp_path / "out", NAMES):
        pytest.fail("started work")
