"""Sentences that say what is to be done, as the vectors that policies observe.

Which observations are sentences, and how they became vectors, stands in the DataSpec (ArraySpec.encoder), so
that whoever acts makes the same vectors of the same sentences. Needs numpy alone, as robots have it.
"""

import hashlib
import itertools
import unicodedata
from collections.abc import Iterable

import numpy as np

from imitate.errors import ConfigError, SpecError
from imitate.spec import ArraySpec, DataSpec

WORDS = "words"
"""The encoder that hashes words and pairs of neighbouring words, with signs (Weinberger et al. 2009, arXiv
0902.2206): no weights, no vocabulary, the same numbers everywhere. Another word for the same is another word.
"""

SHOWN = 4
"""So many sentences stand in a message."""


def words(text: str) -> list[str]:
    """The words of `text`; case and punctuation are of no importance."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(letter if _is_of_a_word(letter) else " " for letter in plain).split()


def _is_of_a_word(letter: str) -> bool:
    # Many scripts write vowels as marks, which are no letters.
    return letter.isalnum() or unicodedata.category(letter).startswith("M")


def vector(text: str, spec: ArraySpec) -> np.ndarray:
    """`text` as the observation (D,) that `spec` describes, of length 1.

    Raises ConfigError for a text without words, SpecError for an encoder that is not known here.
    """
    if spec.encoder != WORDS:
        raise SpecError(f"encoder is {spec.encoder!r}, expected {WORDS!r}; update imitate to read it")
    found = words(text)
    if not found:
        raise ConfigError(f"the instruction is {text!r}, expected a sentence with words")
    counts = np.zeros(spec.size)
    for feature in [*found, *map(" ".join, itertools.pairwise(found))]:
        number = int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest(), "big")
        counts[number % spec.size] += 1.0 if number >> 63 else -1.0
    # Where there is hardly any room all features may cancel each other.
    return (counts / max(float(np.linalg.norm(counts)), 1e-9)).astype(spec.dtype)


def sentences(spec: DataSpec) -> dict[str, ArraySpec]:
    """The observations of `spec` that are sentences."""
    return {key: array for key, array in spec.obs.items() if array.encoder}


def repeated(text: str, spec: ArraySpec, steps: int) -> np.ndarray:
    """`text` as it is observed in each of `steps` steps, (steps, D); raises what `vector` does."""
    return np.tile(vector(text, spec), (steps, 1))


def known(spec: DataSpec) -> tuple[str, ...]:
    """The sentences of the demonstrations."""
    return tuple(dict.fromkeys(text for array in sentences(spec).values() for text in array.sentences))


def only(spec: DataSpec) -> str:
    """The sentence of the demonstrations where all were told the same, else ""."""
    texts = known(spec)
    return texts[0] if len(texts) == 1 else ""


def listed(texts: Iterable[str]) -> str:
    """Some of `texts`, for a message."""
    found = list(texts)
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(map(repr, found[:SHOWN])) + more


def unseen(spec: DataSpec, texts: Iterable[str]) -> str:
    """One line naming those of `texts` that no demonstration was told, "" where there is none."""
    seen = {tuple(words(text)) for text in known(spec)}
    new = [text for text in texts if tuple(words(text)) not in seen]
    if not new or not seen:
        return ""
    return (
        f"never told in training: {listed(new)}; a policy knows the sentences of its demonstrations: "
        f"{listed(known(spec))}"
    )
