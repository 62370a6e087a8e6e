"""`imitate report compare=…`: one page of two sets, and JSON with what each is worth."""

import json
from pathlib import Path

import pytest
import sample_pages

from imitate.cli.main import main
from imitate.curation.measuring import measure
from imitate.curation.report import report_json, write_comparison
from imitate.curation.verdict import findings
from imitate.datasets.store import DemoStore
from imitate.errors import ConfigError


@pytest.fixture
def pair(tmp_path: Path) -> tuple[DemoStore, DemoStore]:
    (tmp_path / "b").mkdir()
    first = [sample_pages.episode(i, 25) for i in range(4)]
    second = [sample_pages.episode(i, 25, success=i != 11) for i in range(10, 15)]
    return (
        sample_pages.store(tmp_path / "d.zarr", first),
        sample_pages.store(tmp_path / "b" / "d.zarr", second),
    )


def test_the_json_holds_both_reports(pair: tuple[DemoStore, DemoStore], tmp_path: Path) -> None:
    both = write_comparison(*pair, tmp_path / "both.html")
    content = json.loads(both.json_file.read_text(encoding="utf-8"))
    assert both.json_file == tmp_path / "both.json" and content == both.content
    for store, said in zip(pair, content["sets"], strict=True):
        measured = measure(store)
        assert said == report_json(store, measured, findings(measured))
    page = both.page.read_text(encoding="utf-8")
    assert all(said["verdict"] in page for said in content["sets"])
    # Both are called d.zarr, so the folders tell them apart.
    assert content["names"] == [str(pair[0].path), str(pair[1].path)]
    assert not (tmp_path / "both.csv").exists()


def test_as_a_user_types_it(
    pair: tuple[DemoStore, DemoStore], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "both.html"
    words = ["report", f"data.path={pair[0].path}", f"compare={pair[1].path}", f"out={out}"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "all 4 demonstrations" in said and "4 of 5 demonstrations" in said and str(out) in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compare=absent.zarr"], "absent.zarr does not exist"),
        (["compare=d.zarr"], "compare is 'd.zarr', the same data as data.path"),
        (["compare=b/../d.zarr"], "the same data as data.path"),
        (["compare=b/d.zarr", "out=both.pdf"], "out is 'both.pdf', expected the name of an .html file"),
        (["out=folder.html"], "which is a folder"),
        (["compare=b/d.zarr", "out=folder.html"], "which is a folder"),
        (["compare=empty.zarr"], "holds no episodes"),
        (["out=d.zarr/.zgroup/x.html"], "cannot write"),
    ],
)
def test_mistakes_end_with_2_and_one_line_and_write_nothing(
    words: list[str],
    message: str,
    pair: tuple[DemoStore, DemoStore],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.html").mkdir()
    sample_pages.store(tmp_path / "empty.zarr", [])
    before = sorted(tmp_path.rglob("*"))
    assert main(["report", "data.path=d.zarr", *words]) == 2
    # Lines of progress may come before it.
    error = capsys.readouterr().err
    assert error.count("imitate: ") == 1 and message in error.splitlines()[-1]
    assert sorted(tmp_path.rglob("*")) == before


def test_the_same_store_is_refused_before_anything_is_measured(
    pair: tuple[DemoStore, DemoStore], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="give another store"):
        write_comparison(pair[0], DemoStore.open(pair[0].path), tmp_path / "r.html")
