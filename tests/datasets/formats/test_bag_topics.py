"""Topics files: every key is known, every mistake is one line that names file and key."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imitate.datasets.bags.topics import Entry, Topics, sample_of
from imitate.datasets.bags.topics_file import read_topics
from imitate.errors import ConfigError, ImitateError

GOOD = "rate_hz: 10\nobservations: {state: /joint_states}\naction: {topic: /commands}\n"
EXAMPLE = Path(__file__).resolve().parents[3] / "docs/examples/bag_topics.yaml"


def read(tmp_path: Path, text: str) -> Topics:
    path = tmp_path / "topics.yaml"
    path.write_text(text)
    return read_topics(path)


def test_what_is_not_said_has_a_usual_value(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    assert found.observations["state"] == (Entry("/joint_states"),)
    assert found.clock == "header" and not found.marks
    assert sample_of(found.observations["state"][0], False) == "previous"
    assert sample_of(found.action[0], True) == "next"
    assert sample_of(Entry("/x", ahead_steps=1), True) == "previous"


def test_the_example_of_the_documentation_is_read() -> None:
    assert read_topics(EXAMPLE).entries


WRONG = {
    "": "the file is None, expected keys and values",
    "- 1": "expected keys and values",
    "rate_hz: 10": "observations is missing",
    GOOD + "clok: header": r"clok is no key \(did you mean 'clock'",
    GOOD + "clock: wall": "clock is 'wall'.*expected one of header, receive",
    GOOD + "rate_hz: 20": "rate_hz stands there twice in line 4",
    GOOD.replace("10", "-1"): "rate_hz is -1, expected 0.001 to 10000 Hz",
    GOOD.replace("10", ".nan"): "rate_hz is nan",
    GOOD.replace("10", "true"): "rate_hz is True",
    GOOD.replace("state:", "'a b':"): "observations.a b is no name",
    GOOD.replace("state:", "../x:"): r"observations.\.\./x is no name",
    GOOD.replace(
        "/joint_states", "{topic: /x, sampel: linear}"
    ): "observations.state.sampel is no key.*'sample'",
    GOOD.replace(
        "/joint_states", "{topic: /x, sample: linaer}"
    ): "observations.state.sample is 'linaer'.*'linear'",
    GOOD.replace("/joint_states", "{field: x}"): "observations.state.topic is missing",
    GOOD.replace("/joint_states", "{topic: /x, ahead_steps: 1}"): "observations.state looks ahead",
    GOOD.replace(
        "/joint_states", "{topic: /x, size: [0, 3]}"
    ): r"size is \(0, 3\), expected \[height, width\]",
    GOOD.replace("/joint_states", "{topic: /x, size: [100000, 100000]}"): "expected \\[height, width\\]",
    GOOD.replace("/joint_states", "{topic: /x, max_age_s: 0}"): "max_age_s is 0",
    GOOD.replace("/joint_states", "{topic: /x, names: [a, a]}"): "names has a name twice",
    GOOD.replace("/joint_states", "[]"): "observations",
    GOOD.replace("{topic: /commands}", "[]"): "action is empty",
    GOOD.replace("{topic: /commands}", "{topic: /c, lag_s: -1}"): "action.lag_s is -1",
    GOOD + "episodes: {strat: /x}": "episodes.strat is no key.*'start'",
    GOOD + "episodes: {gap_s: soon}": "episodes.gap_s is 'soon'",
    GOOD + "episodes: {start: {topic: /x, equals: 1, change: true}}": "episodes.start.change",
    GOOD + "definitions: {a/msg/B: 3}": "definitions.a/msg/B is 3",
    "a: [": "is no YAML",
    "a: !!python/object/apply:os.system ['true']": "is no YAML",
    "[" * 1500: "is no YAML",
    "a: &a [*a]\nb: *a": "a is no key",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_mistakes_are_named(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=WRONG[text]) as caught:
        read(tmp_path, text)
    assert "topics.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_text_is_answered_in_one_line(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines = GOOD.splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    lines[number] = data.draw(st.text(max_size=30)) + lines[number][data.draw(st.integers(0, 20)) :]
    path = tmp_path_factory.mktemp("topics") / "topics.yaml"
    path.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    try:
        read_topics(path)
    except ImitateError as error:
        assert "\n" not in str(error) and "topics.yaml" in str(error)
