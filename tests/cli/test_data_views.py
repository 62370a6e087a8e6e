"""imitate data list, split, merge, filter, rename, trim, relabel and undo, as a person calls them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imitate.cli.main import main
from imitate.config import verbs
from imitate.datasets.keep_list import write_keep_list
from imitate.datasets.store import DemoStore
from imitate.types import ArraySpec, DataSpec, Episode

SPEC = DataSpec(
    {"state": ArraySpec((2,), names=("x", "y"), units=("m", "m"))}, ArraySpec((1,), units=("N",)), 20.0
)


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DemoStore:
    """demos.zarr in the working directory: six episodes of 10 … 15 steps."""
    monkeypatch.chdir(tmp_path)
    with DemoStore.create("demos.zarr", SPEC, "test") as store:
        for number in range(6):
            steps = 10 + number
            state = np.column_stack([np.arange(steps), np.full(steps, number)]).astype(np.float32)
            state[:2, 0] = 2  # nothing moves
            known: dict[str, Any] = {"success": number > 2, "operator": "ab"[number % 2]}
            action = np.zeros((steps, 1), np.float32)
            store.append(
                Episode(f"demo_{number}", {"state": state}, action, metadata={"task": "push"}, **known)
            )
    return store


def told(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """What a command prints with --json."""
    capsys.readouterr()
    assert main(["data", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def ids(capsys: pytest.CaptureFixture[str], path: str) -> list[str]:
    return [episode["id"] for episode in told(capsys, "list", f"data.path={path}")["episodes"]]


def test_the_list_tells_episodes_and_history(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["data", "filter", "data.path=demos.zarr", "success=true", "operator=b", "out=v.view.json"]) == 0
    )
    assert main(["data", "relabel", "data.path=v.view.json", "task=pick", "out=w.view.json"]) == 0
    capsys.readouterr()
    assert main(["data", "list", "data.path=w.view.json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["id", "steps", "success", "source", "operator", "rate", "task"]
    assert lines[1].split() == ["demo_3", "13", "yes", "-", "b", "20", "Hz", "pick"]
    assert lines[3] == "2 episodes, 28 steps"
    assert lines[4].endswith("demos.zarr")
    assert 'filter where.success=true where.operator="b"' in lines[5]
    assert 'relabel metadata={"task": "pick"}' in lines[6]
    found = told(capsys, "list", "data.path=w.view.json")
    assert [entry["operation"] for entry in found["history"]] == ["filter", "relabel"]
    assert found["episodes"][0] | {"source": ""} == {
        "id": "demo_3", "steps": 13, "success": True, "source": "", "operator": "b", "rate_hz": 20.0,
        "task": "pick",
    }  # fmt: skip


def test_every_command_makes_what_it_says(capsys: pytest.CaptureFixture[str], store: DemoStore) -> None:
    before = store.content_hash()
    data = "data.path=demos.zarr"
    told(capsys, "filter", data, "ids=[demo_1,demo_4]", "drop=true", "out=few.view.json")
    assert ids(capsys, "few.view.json") == ["demo_0", "demo_2", "demo_3", "demo_5"]
    told(capsys, "filter", data, "metadata={task: push}", "max_steps=11", "out=push.view.json")
    assert ids(capsys, "push.view.json") == ["demo_0", "demo_1"]
    parts = told(capsys, "split", data, "share=0.5", "seed=3", "out=parts")["parts"]
    assert {name: part["episodes"] for name, part in parts.items()} == {"train": 3, "test": 3}
    assert told(capsys, "split", data, "by=operator", "out=by")["parts"].keys() == {"a", "b"}
    assert (
        told(capsys, "merge", "sources=[by/a.view.json,by/b.view.json]", "out=all.view.json")["episodes"] == 6
    )
    assert told(capsys, "trim", data, "start=1", "end=2", "out=t.view.json")["steps"] == 75 - 18
    assert told(capsys, "trim", data, "idle=true", "ids=[demo_0]", "out=i.view.json")["steps"] == 73
    assert told(capsys, "trim", data, "ranges={demo_5: [3, 5]}", "out=r.view.json")["steps"] == 62
    renamed = ["observations={state: pose}", "units={pose: [mm, mm]}", "ids={demo_0: first}"]
    told(capsys, "rename", data, *renamed, "out=n.view.json")
    assert ids(capsys, "n.view.json")[0] == "first"
    judged = ["where.ids=[demo_0]", "success=true", "operator=c", "metadata={task: null, kind: 3}"]
    told(capsys, "relabel", data, *judged, "out=l.view.json")
    first = told(capsys, "list", "data.path=l.view.json")["episodes"][0]
    assert (first["success"], first["operator"], first["task"]) == (True, "c", None)
    told(capsys, "trim", "data.path=l.view.json", "start=1", "out=u.view.json")
    undone = told(capsys, "undo", "data.path=u.view.json", "out=v.view.json")
    assert undone["hash"] == told(capsys, "list", "data.path=l.view.json")["hash"]
    assert main(["import", "src=few.view.json", "out=few.zarr"]) == 0
    assert ids(capsys, "few.zarr") == ids(capsys, "few.view.json")
    assert DemoStore.open(store.path).content_hash() == before


def test_a_keep_list_filters(capsys: pytest.CaptureFixture[str], store: DemoStore) -> None:
    listed = [{"id": "demo_0", "keep": False}, {"id": "demo_1", "weight": 0.5}]
    write_keep_list(Path("keep.json"), listed, store.content_hash(), {})
    found = told(
        capsys, "filter", "data.path=demos.zarr", "keep=keep.json", "success=false", "out=k.view.json"
    )
    assert ids(capsys, "k.view.json") == ["demo_1", "demo_2"]
    assert found["notes"] == [
        "1 episodes have weights, which a view does not hold: train with data.keep=keep.json for that"
    ]


DATA = "data.path=demos.zarr"
OUT = "out=x.view.json"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["filter", DATA, OUT], "nothing to filter by"),
        (["filter", DATA, OUT, "success=maybe"], "success is 'maybe', expected true, false, unknown or null"),
        (["filter", DATA, OUT, "sucess=true"], "unknown key sucess (did you mean 'success'?)"),
        (["filter", DATA, OUT, "data.keep=keep.json"], "unknown key data.keep"),
        (["filter", DATA, OUT, "min_steps=9", "max_steps=3"], "min_steps is 9, expected at most max_steps"),
        (["filter", DATA, OUT, "min_steps=900"], "no episode would be left"),
        (["filter", DATA, "success=true"], "imitate data filter needs out"),
        (["filter", "data.path=demo.zarr", OUT, "success=true"], "did you mean 'demos.zarr'?"),
        (["filter", DATA, "out=demos.zarr", "success=true"], "expected a name such as demos.view.json"),
        (["split", DATA, "out=demos.zarr"], "already exists"),
        (["split", DATA, "out=parts", "share=1.0"], "share is 1.0, expected a number between 0 and 1"),
        (["split", DATA, "out=parts", "by=succes"], "by is 'succes' (did you mean 'success'?)"),
        (["merge", "sources=[demos.zarr]", OUT], "1 stores to merge, expected at least two"),
        (["merge", "sources=[demos.zarr,other.zarr]", OUT], "other.zarr does not exist"),
        (["rename", DATA, OUT], "nothing to rename"),
        (["rename", DATA, OUT, "observations={stat: pose}"], "no observation 'stat' (did you mean 'state'?)"),
        (["trim", DATA, OUT], "nothing to cut"),
        (["trim", DATA, OUT, "start=-1"], "start=-1 end=0, expected steps to cut, 0 or more"),
        (["trim", DATA, OUT, "idle=true", "start=1"], "leave out start, end and ranges"),
        (["trim", DATA, OUT, "ranges={demo_5: 3}"], "ranges.demo_5 is 3, expected a list"),
        (["relabel", DATA, OUT], "nothing to say of the episodes"),
        (["relabel", DATA, OUT, "where.sucess=true", "task=a"], "did you mean 'where.success'?"),
        (["undo", DATA, OUT], "demos.zarr is no view: there is nothing to undo"),
        (["list"], "imitate data list needs data.path"),
        (["lst"], "unknown command 'data lst' (did you mean 'data list'?)"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["data", *words]) == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "\n" not in said
    assert [path.name for path in Path().iterdir()] == ["demos.zarr"]


@pytest.mark.parametrize("task", ["push it, don't pull", "'push it, now'", "null"])
def test_a_task_is_any_sentence(capsys: pytest.CaptureFixture[str], task: str) -> None:
    if task == "null":
        assert main(["data", "relabel", "data.path=demos.zarr", "task=null", "out=v.view.json"]) == 2
        return
    told(capsys, "relabel", "data.path=demos.zarr", f"task={task}", "out=v.view.json")
    found = told(capsys, "list", "data.path=v.view.json")["episodes"][0]["task"]
    assert found == task.strip("'")


def test_instruct_makes_an_observation_of_the_task(capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "relabel", "data.path=demos.zarr", "task=lift", "where.ids=[demo_2]", "out=two.view.json")
    found = told(capsys, "instruct", "data.path=two.view.json", "size=16", "out=told.view.json")
    assert found["notes"] == ["told: 'push', 'lift'"]
    assert main(["inspect", "data.path=told.view.json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "instruction  16 float32, of the sentences 'push', 'lift'" in lines
    assert not any("instruction[" in line for line in lines)
    assert main(["data", "relabel", "data.path=demos.zarr", "metadata={task: null}", "out=no.view.json"]) == 0
    capsys.readouterr()
    assert main(["data", "instruct", "data.path=no.view.json", "out=n.view.json"]) == 2
    said = capsys.readouterr().err.strip()
    assert "6 of 6 episodes do not say their task" in said
    assert "where.ids=[demo_0,demo_1,demo_2,demo_3,demo_4,…]" in said
    assert "\n" not in said
    assert not Path("n.view.json").exists()
    assert main(["data", "list", "data.path=told.view.json"]) == 0
    assert "instruct size=16" in capsys.readouterr().out


@pytest.mark.parametrize("verb", [verb for verb in verbs() if verb.startswith("data_")])
def test_help_shows_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = verb.replace("_", " ")
    assert main([*words.split(), "--help"]) == 0
    assert f"    imitate {words} " in capsys.readouterr().out
