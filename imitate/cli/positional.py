"""Words of a command line without a key, as in `imitate page runs/a runs/b`.

A command's module may hold `POSITIONAL = "runs"`: words without "=" then become that key of its dataclass,
all of them where the key is a tuple, else the one there is. `runs=[runs/a,runs/b]` means the same.
"""

import ast
import importlib.util
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from imitate.errors import ConfigError

NAME = "POSITIONAL"


def with_keys(verb: str, module: str, words: Sequence[str]) -> list[str]:
    """`words` of the command line of `verb`, with those that have no key put under the one of its `module`.

    A word is a value, too, when there is a slash before its first "=" (a folder runs/lr=1): no key has one.
    Raises ConfigError where the key is given in both ways, or one value is asked for and several are given.
    """
    values = [word for word in words if "=" not in word or "/" in word.partition("=")[0]]
    key = _constant(module) if values else None
    if key is None:
        return list(words)
    others = [word for word in words if word not in values]
    if any(other.startswith(f"{key}=") for other in others):
        raise ConfigError(f"{key} is given twice: as {values[0]!r} and as {key}=…; give all of it in one way")
    if _is_tuple(module, key):
        return [f"{key}=[{','.join(map(_quoted, values))}]", *others]
    if len(values) > 1:
        found = " ".join(map(repr, values))
        raise ConfigError(f"imitate {verb.replace('_', ' ')} takes one {key}, but found {found}")
    return [f"{key}={_quoted(values[0])}", *others]


def _quoted(value: str) -> str:
    """`value` as a quoted string of Hydra's grammar: backslashes count only before a quote."""
    value = re.sub(r'(\\*)("|$)', lambda m: 2 * m[1] + (m[2] and '\\"'), value)
    return f'"{value}"'


def _constant(module: str) -> str | None:
    """POSITIONAL of a command's `module`, None where it has none."""
    assigned = [node for node in _source(module).body if isinstance(node, ast.Assign)]
    named = [node.value for node in assigned if [ast.unparse(one) for one in node.targets] == [NAME]]
    return str(ast.literal_eval(named[0])) if named else None


def _is_tuple(module: str, key: str) -> bool:
    classes = [node for node in _source(module).body if isinstance(node, ast.ClassDef)]
    fields = [node for one in classes for node in one.body if isinstance(node, ast.AnnAssign)]
    kinds = [ast.unparse(field.annotation) for field in fields if ast.unparse(field.target) == key]
    return bool(kinds) and kinds[0].startswith("tuple")


@cache
def _source(module: str) -> ast.Module:
    """Read, not imported: what a command needs may take seconds to import."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
