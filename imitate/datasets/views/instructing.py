"""What is to be done in each episode, in words, as an observation that a policy can learn to follow."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from imitate.datasets.episode_store import EpisodeRecord
from imitate.datasets.views.contents import CONSTANT, Contents, Piece
from imitate.datasets.views.operations import require_name, with_arrays
from imitate.errors import ConfigError
from imitate.instruction import WORDS, vector, words
from imitate.spec import ArraySpec

TASK = "task"
"""Of an episode's metadata: what is to be done, in words."""

NAMED = 5
"""So many episodes stand in a message."""


@dataclass(frozen=True)
class Instruct:
    """Add the observation `observation` of `size` numbers: each episode's task, as `encoder` turns it into
    a vector, in all its steps.
    """

    observation: str = "instruction"
    size: int = 64
    encoder: str = WORDS

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ConfigError(f"instruct: size is {self.size}, expected numbers of a vector, at least 1")
        if self.encoder != WORDS:
            raise ConfigError(f"instruct: encoder is {self.encoder!r}, expected {WORDS!r}")

    def apply(self, contents: Contents) -> Contents:
        """Add it; raises ConfigError naming the episodes that have no text."""
        require_name(self.observation, "instruct")
        if self.observation in contents.spec.obs:
            raise ConfigError(f"instruct: there is an observation {self.observation!r}; name another")
        _require_texts(contents.records)
        texts = dict.fromkeys(record.metadata[TASK] for record in contents.records)
        spec = ArraySpec((self.size,), encoder=self.encoder, sentences=tuple(texts))
        vectors = {text: vector(text, spec) for text in texts}
        _require_different(vectors)
        key = f"{CONSTANT}{sum(name.startswith(CONSTANT) for name in contents.names.values())}"

        def told(piece: Piece) -> Piece:
            found = vectors[piece.record.metadata[TASK]]
            return replace(piece, constant={**piece.constant, key: found})

        obs = {**contents.spec.obs, self.observation: spec}
        names = {**contents.names, self.observation: key}
        return with_arrays(contents.changed(told), obs, names, contents.columns)


def _require_texts(records: list[EpisodeRecord]) -> None:
    silent = [record.id for record in records if not _has_words(record.metadata.get(TASK))]
    if silent:
        named = ",".join(silent[:NAMED]) + (",…" if len(silent) > NAMED else "")
        raise ConfigError(
            f"instruct: {len(silent)} of {len(records)} episodes do not say their task in words: say it by  "
            f"imitate data relabel data.path=… task='…' out=… 'where.ids=[{named}]', or leave them out"
        )


def _has_words(text: object) -> bool:
    return isinstance(text, str) and bool(words(text))


def _require_different(vectors: Mapping[str, np.ndarray]) -> None:
    """Raise ConfigError where two sentences of different words cannot be told apart."""
    seen: dict[bytes, str] = {}
    for text, found in vectors.items():
        other = seen.setdefault(found.tobytes(), text)
        if words(other) != words(text):
            raise ConfigError(
                f"instruct: {other!r} and {text!r} become the same {len(found)} numbers; choose a larger size"
            )
