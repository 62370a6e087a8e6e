"""Sentences as vectors: the same everywhere, and different for different words."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.errors import ConfigError, SpecError
from imitate.instruction import WORDS, known, only, repeated, unseen, vector, words
from imitate.spec import ArraySpec, DataSpec, require_match

ARRAY = ArraySpec((64,), encoder=WORDS, sentences=("push the block", "open the drawer"))
SPEC = DataSpec({"instruction": ARRAY, "state": ArraySpec((2,))}, ArraySpec((1,)), 10.0)
PROGRAM = """
from imitate.instruction import vector
from imitate.spec import ArraySpec
print(vector("Schiebe den grünen Block, bitte", ArraySpec((64,), encoder="words")).tobytes().hex())
"""


def test_the_same_text_is_the_same_vector_in_another_process() -> None:
    """PYTHONHASHSEED differs between the two, and must be of no influence."""
    said = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": s},
        ).stdout.strip()
        for s in ("1", "2")
    ]
    here = vector("Schiebe den grünen Block, bitte", ARRAY).tobytes().hex()
    assert said == [here, here]


def test_the_vector_is_what_it_always_was() -> None:
    """Checkpoints outlive versions: numbers of a sentence may never change."""
    found = vector("push the block", ARRAY)
    assert found.dtype == np.float32
    assert {i: float(np.sign(found[i])) for i in np.flatnonzero(found)} == {
        3: -1.0, 25: -1.0, 40: 1.0, 45: 1.0, 46: -1.0
    }  # fmt: skip


@given(text=st.text(min_size=1), size=st.integers(8, 256))
def test_any_text_with_words_becomes_a_finite_vector(text: str, size: int) -> None:
    spec = ArraySpec((size,), encoder=WORDS)
    if not words(text):
        with pytest.raises(ConfigError, match="expected a sentence with words"):
            vector(text, spec)
        return
    found = vector(text, spec)
    assert found.shape == (size,)
    assert np.isclose(np.linalg.norm(found), 1.0, atol=1e-5) or not found.any()
    assert np.array_equal(found, vector(f"  {text.upper().lower()}! ", spec)) or words(text) != words(
        text.upper().lower()
    )


def test_order_and_words_count_and_case_and_punctuation_do_not() -> None:
    one = vector("put the cup on the plate", ARRAY)
    assert np.array_equal(one, vector("Put the cup, on the plate.", ARRAY))
    for other in ("put the plate on the cup", "put the cup on the table"):
        assert not np.allclose(one, vector(other, ARRAY))
    assert words("pick-place_v3") == ["pick", "place", "v3"]
    assert words("नीला कप") == ["नीला", "कप"], "vowels that are marks belong to their words"
    assert words("把杯子放下。") == ["把杯子放下"]


def test_a_thousand_sentences_are_a_thousand_vectors() -> None:
    verbs, things, places = ("push", "pull", "lift", "turn"), "abcdefghij", range(25)
    texts = [f"{v} the {t} to place {p}" for v in verbs for t in things for p in places]
    assert len({vector(text, ARRAY).tobytes() for text in texts}) == len(texts) == 1000


def test_what_was_never_told_is_named() -> None:
    assert known(SPEC) == ("push the block", "open the drawer")
    assert unseen(SPEC, ["Push the block!"]) == ""
    assert "'close the drawer'" in unseen(SPEC, ["push the block", "close the drawer"])
    assert only(SPEC) == ""
    assert np.array_equal(repeated("x", ARRAY, 3), [vector("x", ARRAY)] * 3)


def test_an_unknown_encoder_is_an_error() -> None:
    with pytest.raises(SpecError, match="encoder is 'later', expected 'words'"):
        vector("push", ArraySpec((4,), encoder="later"))


def test_the_spec_keeps_sentences_and_is_otherwise_as_it_was() -> None:
    plain = SPEC.to_json()
    assert DataSpec.from_json(plain) == SPEC
    assert set(plain["obs"]["state"]) == {"shape", "dtype", "names", "units", "low", "high", "circular"}
    other = DataSpec({**SPEC.obs, "instruction": ArraySpec((64,), encoder="later")}, SPEC.action, 10.0)
    with pytest.raises(SpecError, match="'instruction': encoder is 'later', expected 'words'"):
        require_match(other, SPEC, "there")
    more = ArraySpec((64,), encoder=WORDS, sentences=("push the block", "lift the lid"))
    assert ARRAY.filled_from(more).sentences == ("push the block", "open the drawer", "lift the lid")
