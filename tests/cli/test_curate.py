"""`imitate curate` as a user types it: keep-lists for training, suggestions, judgements, mistakes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sample_pages

from imitate.cli.main import main
from imitate.datasets.store import DemoStore
from imitate.types import Episode

TRAIN = [
    "train", "env=null", "policy=bc", "policy.width=32", "train.max_minutes=null", "train.max_steps=3",
    "train.batch_size=8", "train.validations=1", "train.device=cpu", "train.precision=fp32",
]  # fmt: skip


@pytest.fixture
def demos(tmp_path: Path) -> DemoStore:
    """Six reaches, of which one failed, and a copy of the first."""
    episodes = [sample_pages.episode(i, 20 + i, success=i != 3) for i in range(6)]
    copy = Episode("copy", episodes[0].obs, episodes[0].action, success=True, rate_hz=10.0)
    return sample_pages.store(tmp_path / "demos.zarr", [*episodes, copy])


def curate(demos: DemoStore, *more: str) -> int:
    return main(["curate", f"data.path={demos.path}", *more])


def written(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def test_the_keep_list_says_what_to_use_and_training_follows_it(
    demos: DemoStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "lists" / "keep.json"
    assert curate(demos, f"out={out}") == 0
    said = capsys.readouterr().out
    assert "keep     5 of 7 episodes" in said and "seed3: failed demonstration" in said
    listed = written(out)
    assert listed["data_hash"] == demos.content_hash() and listed["made_by"]["method"] == "recommended"
    assert [entry["id"] for entry in listed["episodes"] if not entry["keep"]] == ["seed3", "copy"]

    words = [*TRAIN, f"data.path={demos.path}", f"data.keep={out}", f"out={tmp_path / 'run'}"]
    assert main(words) == 0, capsys.readouterr().err
    assert (tmp_path / "run" / "last.safetensors").exists()
    none = {**listed, "episodes": [{**entry, "keep": False} for entry in listed["episodes"]]}
    out.write_text(json.dumps(none))
    assert main([*words[:-1], f"out={tmp_path / 'other'}"]) == 2


def test_a_share_by_a_score(demos: DemoStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "keep.json"
    assert curate(demos, f"out={out}", "method=mutual_information", "keep=0.6", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["kept"], said["episodes"], said["steps_cut"]) == (3, 7, 0)
    assert sum(entry["keep"] for entry in written(out)["episodes"]) == 3
    assert written(out)["made_by"]["keep"] == 0.6


def test_random_lists_come_from_the_seed(demos: DemoStore, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        words = ("method=random", "keep=0.5", f"seed={seed}")
        assert curate(demos, f"out={tmp_path / name}", *words) == 0
    texts = [written(tmp_path / name)["episodes"] for name in "abc"]
    assert texts[0] == texts[1] != texts[2]


def test_what_to_demonstrate_next(
    demos: DemoStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "next.json"
    assert curate(demos, "next=true", f"out={out}") == 0
    said = capsys.readouterr().out
    suggestions = written(out)["suggestions"]
    assert suggestions and said.startswith("1. ")
    for one in suggestions:
        assert one["reason"] in said and one["kind"] in {"moment", "start"}
        assert set(one["episodes"]) <= {f"seed{i}" for i in range(6)}
        assert len(one["state"]["arm"]) == 3 and np.isfinite(one["state"]["arm"]).all()


def test_new_demonstrations_are_accepted_or_rejected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demos = sample_pages.store(tmp_path / "base.zarr", [sample_pages.episode(i) for i in range(20)])
    like = sample_pages.episode(30, id="like")
    first = sample_pages.episode(31)
    against = Episode("against", first.obs, -first.action, success=True, rate_hz=10.0)
    new = sample_pages.store(tmp_path / "new.zarr", [like, against])
    out = tmp_path / "feedback.json"
    assert curate(demos, f"judge={new.path}", f"out={out}") == 0
    judged = {one["id"]: one for one in written(out)["episodes"]}
    assert judged["like"]["is_accepted"] and not judged["against"]["is_accepted"]
    assert judged["against"]["windows"] and "rejected" in judged["against"]["reason"]
    assert "accepted 1 of 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "data.path"),
        (["data.path=absent.zarr"], "absent.zarr does not exist"),
        (["data.path=demos.zarr", "method=qualty", "keep=0.5"], "did you mean 'quality'"),
        (["data.path=demos.zarr", "method=quality"], "expected a share above 0 and up to 1"),
        (["data.path=demos.zarr", "method=quality", "keep=2"], "keep is 2"),
        (["data.path=demos.zarr", "keep=0.5"], "says itself what to keep"),
        (["data.path=demos.zarr", "method=surprise", "keep=0.5"], "method=surprise cannot be told"),
        (["data.path=demos.zarr", "method=random", "keep=0.5", "seed=-1"], "seed is -1"),
        (["data.path=demos.zarr", "next=true", "judge=demos.zarr"], "give one of them"),
        (["data.path=demos.zarr", "judge=absent.zarr"], "absent.zarr does not exist"),
        (["data.path=demos.zarr", "out=demos.zarr"], "out is 'demos.zarr', which is a folder"),
        (["data.path=demos.zarr", "next=true", "out=demos.zarr"], "which is a folder"),
        (["data.path=demos.zarr", "out=demos.zarr/.zgroup/keep.json"], "demos.zarr/.zgroup"),
        (["data.path=empty.zarr"], "holds no episodes"),
        (["data.path=empty.zarr", "next=true"], "holds no episodes"),
        (["data.path=empty.zarr", "judge=demos.zarr"], "no base demonstrations"),
        (["data.path=demos.zarr", "outt=x"], "did you mean 'out'"),
    ],
)
def test_mistakes_end_with_2_and_one_line_and_write_nothing(
    words: list[str],
    message: str,
    demos: DemoStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    sample_pages.store(tmp_path / "empty.zarr", [])
    before = sorted(tmp_path.rglob("*"))
    assert main(["curate", *words]) == 2
    # Lines of progress may come before it.
    error = capsys.readouterr().err
    assert error.count("imitate: ") == 1 and message in error.splitlines()[-1]
    assert sorted(tmp_path.rglob("*")) == before
