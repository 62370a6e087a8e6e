"""`imitate list`: everything there is, and what of it runs here."""

import json
import sys

import pytest

from imitate.cli.main import main
from imitate.config import options


@pytest.fixture(scope="module")
def told() -> dict:
    from imitate.cli.list_parts import ListCommand
    from imitate.progress import SILENT

    outcome = ListCommand(None).run(SILENT)
    return {**json.loads(json.dumps(outcome.json)), "text": "\n".join(outcome.lines)}


def entry(told: dict, name: str) -> dict:
    return next(entry for entry in told["env"] if entry["name"] == name)


def test_every_part_is_named_and_described(told: dict) -> None:
    for group in ("policy", "env"):
        assert [entry["name"] for entry in told[group]] == options(group)
        assert all(entry["about"] for entry in told[group])
        assert all(name in told["text"] for name in options(group))


def test_formats_of_data_are_named_with_what_can_be_done(told: dict) -> None:
    written = {entry["name"]: entry["writes"] for entry in told["format"]}
    assert written["imitate"] and written["lerobot"] and not written["session"]
    assert "session of imitate deploy, read\n" in told["text"] + "\n"


def test_an_environment_is_described_with_rate_units_success_and_expert(told: dict) -> None:
    reach = entry(told, "tabletop/reach")
    assert reach["runs_here"] and reach["expert"] and "left" in reach["styles"]
    assert reach["rate_hz"] == 10.0 and reach["action"]["units"] and reach["success"]
    assert reach["choices"]["action_mode"] == ["ee_delta", "joint_position"]


def test_all_tasks_of_meta_world_are_named(told: dict) -> None:
    assert len(entry(told, "metaworld")["choices"]["task"]) == 50
    assert "window-open-v3" in told["text"]


def test_an_environment_whose_suite_is_missing_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # How Python marks a module that cannot be imported.
    for module in [name for name in sys.modules if name.partition(".")[0] == "gym_pusht"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "gym_pusht", None)
    assert main(["list", "group=env", "--json"]) == 0
    pusht = entry(json.loads(capsys.readouterr().out), "pusht")
    assert not pusht["runs_here"] and "imitate[pusht]" in pusht["reason"]


@pytest.mark.parametrize("word", ["policies", "policy", "group=policies"])
def test_a_group_may_be_named_by_a_word(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", word, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in told.pop("policy")] == options("policy") and not told


def test_any_registered_environment_is_offered_with_what_has_to_be_known(told: dict) -> None:
    registered = entry(told, "gymnasium")
    assert registered["runs_here"] and registered["rate_hz"] == 50.0 and registered["max_steps"] == 500
    assert "475" in registered["success"] and "475" in registered["score"] and "475, 0 to 1" in told["text"]


def test_every_environment_runs_here_or_says_what_to_install(told: dict) -> None:
    for found in told["env"]:
        if found["runs_here"]:
            assert found["max_steps"] > 0 and found["rate_hz"] > 0 and found["success"]
        else:
            assert "pip install" in found["reason"], found["name"]


def test_a_misspelt_group_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "group=polcy"]) == 2
    assert "'policy'" in capsys.readouterr().err
