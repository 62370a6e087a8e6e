"""Facts about view files: a wrong, damaged or hostile one is one clear line, and nothing is executed."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imitate.datasets.opening import open_store
from imitate.datasets.store import DemoStore
from imitate.errors import ImitateError

Make = Callable[..., DemoStore]

GOOD: dict[str, Any] = {
    "kind": "imitate view",
    "format": 1,
    "sources": [{"path": "demos.zarr", "hash": ""}],
    "history": [{"operation": "filter", "date": "", "where": {"success": True}}],
}


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("format",), 2, "view format 2, expected 1"),
        (("sources",), [], "at least one"),
        (("sources",), {"a": 1}, "at least one"),
        (("sources", 0), "demos.zarr", r"sources\[0\] is 'demos.zarr'"),
        (("sources", 0, "path"), "", "expected where a store lies"),
        (("sources", 0, "path"), "a\0b", "expected where a store lies"),
        (("sources", 0, "path"), "x" * 5000, "cannot be read"),
        (("history",), None, "a list of operations"),
        (("history", 0), 3, r"history\[0\] is 3"),
        (("history", 0, "operation"), "filer", "did you mean 'filter'"),
        (("history", 0), {"operation": "merge", "names": ["a"]}, "begins with a merge"),
        (("history", 0, "wher"), {}, r"unknown key history\[0\].wher"),
        (("history", 0, "where"), 3, r"history\[0\].where is 3"),
        (("history", 0, "where", "success"), "maybe", "success is 'maybe'"),
        (("history", 0, "where", "min_steps"), "3", "min_steps is '3'"),
        (("history", 0, "where", "ids"), [1], r"ids\[0\] is 1"),
        (("history", 0, "where", "metadata"), {"_target_": "os.system"}, "'_target_', which no view has"),
        (("history", 0, "drop"), "yes", "drop is 'yes'"),
    ],
)
def test_a_wrong_file_is_one_clear_line(
    make_store: Make, tmp_path: Path, place: tuple[Any, ...], value: Any, message: str
) -> None:
    plain = copy.deepcopy(GOOD)
    plain["sources"][0]["hash"] = make_store(3).content_hash()
    item: Any = plain
    for key in place[:-1]:
        item = item[key]
    item[place[-1]] = value
    (tmp_path / "a.view.json").write_text(json.dumps(plain))
    with pytest.raises(ImitateError, match=message) as caught:
        open_store(tmp_path / "a.view.json")
    assert "\n" not in str(caught.value)
    assert "a.view.json" in str(caught.value)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_never_another_error(data: st.DataObject, tmp_path: Path, make_store: Make) -> None:
    path, text = tmp_path / "a.view.json", json.dumps(GOOD).encode()
    if not (tmp_path / "demos.zarr").exists():
        make_store(1)
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 20)))
    path.write_bytes(text[:start] + data.draw(st.binary(max_size=12) | st.just(b"[" * 50_000)) + text[stop:])
    try:
        open_store(path)
    except ImitateError as error:
        assert "\n" not in " ".join(str(error).split())
