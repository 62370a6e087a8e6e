"""What can go wrong through a user's input. Each error is one clear line and ends a command with exit code 2.

ImitateError
 ├─ ConfigError        a key or value of the configuration is wrong
 ├─ DataError          a file or store is missing, damaged or foreign
 ├─ SpecError          two DataSpecs that must agree do not
 ├─ CheckpointError    a checkpoint is missing, damaged or does not fit
 ├─ BundleError        an exported policy is missing, damaged or does not fit
 ├─ EnvError           an environment cannot be made or was misused
 ├─ RobotError         a robot cannot be reached, or is not what it is said to be
 ├─ ServerError        a policy server cannot be reached, refuses, or is told nonsense
 ├─ TrainingError      training cannot go on (a NaN loss, say)
 ├─ ClusterError       a Ray cluster cannot be reached, is lost, or does not do its work
 └─ MissingExtraError  an optional dependency is not installed
"""

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class ImitateError(Exception):
    """Base of every error that a user can cause and mend; its text is one line that says how."""

    def __init__(self, *args: object) -> None:
        # Names in files of others, and what libraries say of them, may hold line breaks.
        super().__init__(*(" ".join(arg.splitlines()) if isinstance(arg, str) else arg for arg in args))


class ConfigError(ImitateError):
    """A configuration key or value is wrong; the text names the full key."""


class DataError(ImitateError):
    """A dataset file is missing, damaged or foreign; the text names the file."""


class SpecError(ImitateError):
    """Two parts that must agree on names, shapes or units do not; the text names the key."""


class CheckpointError(ImitateError):
    """A checkpoint is missing, damaged, or does not fit the policy; the text names file and key."""


class BundleError(ImitateError):
    """An exported policy cannot be made, or is missing, damaged, not to be trusted or used wrongly."""


class EnvError(ImitateError):
    """An environment cannot be made here, or was driven against its contract."""


class RobotError(ImitateError):
    """A robot cannot be reached or is not as described; the text names what is missing and where."""


class ServerError(ImitateError):
    """A policy server cannot be reached, turned somebody away, or was told what it cannot answer."""


class TrainingError(ImitateError):
    """Training cannot go on; the text names the step and what was kept."""


class ClusterError(ImitateError):
    """A Ray cluster cannot be reached, was lost, or keeps losing workers; the text names what is known."""


class MissingExtraError(ImitateError):
    """An optional dependency is not installed; the text names the extra to install."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt `name`: " (did you mean 'x'?)", or the list of what there is."""
    choices = sorted(set(known))
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    if close:
        return f" (did you mean {close[0]!r}?)"
    return f" (known: {', '.join(choices)})" if choices else ""


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out: numpy's MemoryError, or PyTorch's on a GPU (by its text) or a CPU."""
    text = str(error)
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
    )


def import_extra(module: str, extra: str) -> ModuleType:
    """Import an optional `module`, or raise MissingExtraError naming the extra that brings it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing == "imitate":
            raise
        raise MissingExtraError(
            f"{missing or module} is not installed: run  pip install 'imitate[{extra}]'  "
            f"(in a clone: .venv/bin/pip install -c constraints.txt -e '.[{extra}]')"
        ) from error
