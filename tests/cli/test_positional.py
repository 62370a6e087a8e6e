"""Words without a key become the key that a command names, and nothing else changes."""

import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from imitate.cli.main import main
from imitate.cli.positional import with_keys
from imitate.config import verbs
from imitate.errors import ConfigError

COMMAND = '''"""imitate {name}: a command."""
from dataclasses import dataclass
POSITIONAL = "{key}"
@dataclass(frozen=True)
class Settings:
    {key}: {kind}
    out: str
'''


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A command of several values and one of a single value, where Python finds them."""
    folder = tmp_path_factory.mktemp("commands")
    (folder / "pos_many.py").write_text(COMMAND.format(name="many", key="runs", kind="tuple[str, ...]"))
    (folder / "pos_one.py").write_text(COMMAND.format(name="one", key="result", kind="str"))
    sys.path.insert(0, str(folder))
    return {"many": "pos_many", "one": "pos_one"}


def test_words_become_a_list_or_the_one_value(modules: dict[str, str]) -> None:
    assert with_keys("page", modules["many"], ["a", "out=x", "b/c"]) == ['runs=["a","b/c"]', "out=x"]
    assert with_keys("page", modules["many"], ["a"]) == ['runs=["a"]']
    assert with_keys("reproduce", modules["one"], ["r.json", "out=x"]) == ['result="r.json"', "out=x"]


def test_keys_stay_as_they_are(modules: dict[str, str]) -> None:
    for words in ([], ["out=x"], ["runs=[a,b]", "out=x"]):
        assert with_keys("page", modules["many"], words) == words


def test_a_folder_with_an_equals_sign_is_a_value(modules: dict[str, str]) -> None:
    assert with_keys("page", modules["many"], ["runs/lr=1", "out=x/y"]) == ['runs=["runs/lr=1"]', "out=x/y"]


def test_a_command_without_positional_words_refuses_them() -> None:
    assert with_keys("compare", verbs()["compare"], ["a", "b=c"]) == ["a", "b=c"]


def test_mistakes_are_named(modules: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="runs is given twice: as 'a' and as runs=…"):
        with_keys("page", modules["many"], ["a", "runs=[b]"])
    with pytest.raises(ConfigError, match=r"imitate reproduce takes one result, but found 'a' 'b'"):
        with_keys("reproduce", modules["one"], ["a", "b"])


@given(st.lists(st.text(alphabet="aB1 '\"\\[]{}(),:=~+/._-äß", min_size=1), min_size=1, max_size=3))
def test_any_word_arrives_unchanged(modules: dict[str, str], words: list[str]) -> None:
    words = [word if "=" not in word else f"/{word}" for word in words]
    (override,) = with_keys("page", modules["many"], words)
    parsed = OverridesParser.create().parse_override(override)
    assert OmegaConf.to_container(OmegaConf.create({"runs": parsed.value()}), resolve=True) == {"runs": words}


def test_a_word_too_many_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "runs/a", "b=x"]) == 2
    assert "'runs/a' is not of the form key=value" in capsys.readouterr().err
