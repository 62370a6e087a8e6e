"""The entry point: `imitate VERB key=value …`.

Exit code 0 only when the work was done; 1 where it was and the answer is no (`imitate reproduce`); 2 for a
mistake the user can mend, told in one line without a traceback; 130 after Ctrl-C.
"""

import ast
import importlib.util
import json
import logging
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from imitate import __version__
from imitate.errors import ImitateError, is_out_of_memory, nearest

FLAGS = ("--help", "-h", "--json", "--version")
VIEWER = "--viewer"
"""Another way to say viewer=true, or viewer=FILE.rrd."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments))
    except ImitateError as error:
        print(f"imitate: {_one_line(error)}", file=sys.stderr)
    except BrokenPipeError:
        # Whoever read the output has had enough (`| head`); nothing may be written to it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        # Full disk, no permission, a folder where a file should be: the user's to mend, not a bug.
        print(f"imitate: {_one_line(error)}", file=sys.stderr)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        advice = "lower sizes (batches, widths, workers), or use another machine"
        print(f"imitate: memory ran out: {_one_line(error)}; {advice}", file=sys.stderr)
    except KeyboardInterrupt:
        print("imitate: interrupted", file=sys.stderr)
        return 130
    return 2


def _run(arguments: list[str]) -> int:
    arguments = [_as_setting(a) for a in arguments]
    flags = [a for a in arguments if a.startswith("-")]
    unknown = [flag for flag in flags if flag not in FLAGS]
    if unknown:
        raise ImitateError(f"unknown option {unknown[0]}{nearest(unknown[0], FLAGS)}; settings are key=value")
    words = [a for a in arguments if not a.startswith("-")]
    if "--version" in flags:
        print(f"imitate {__version__}")
        return 0
    # Hydra is imported only once a command is asked for.
    from imitate.config import compose, verbs

    if not words:
        print(_overview(verbs()))
        return 0 if flags else 2
    verb, *overrides = _joined(words, verbs())
    asks_help = "--help" in flags or "-h" in flags
    if verb not in verbs():
        longer = {name: module for name, module in verbs().items() if name.startswith(f"{verb}_")}
        if longer and asks_help:
            print(_overview(longer))
            return 0
        known = [name.replace("_", " ") for name in longer or verbs()]
        helped = f"imitate {verb} --help" if longer else "imitate --help"
        asked = " ".join([verb, *(word for word in overrides[:1] if longer and "=" not in word)])
        raise ImitateError(f"unknown command {asked!r}{nearest(asked, known)}; see  {helped}")
    if asks_help:
        print(_docstring(verbs()[verb]))
        return 0
    from imitate.cli.console import progress_for_stderr
    from imitate.cli.positional import with_keys

    outcome = compose(verb, with_keys(verb, verbs()[verb], overrides)).run(progress_for_stderr())
    print(json.dumps(outcome.json) if "--json" in flags else "\n".join(outcome.lines), flush=True)
    return int(outcome.exit_code)


def _as_setting(argument: str) -> str:
    name, _, value = argument.partition("=")
    return f"viewer={value or 'true'}" if name == VIEWER else argument


def _joined(words: list[str], known: Collection[str]) -> list[str]:
    """A command may have two words: "robot check" is the verb robot_check."""
    both = "_".join(words[:2])
    return [both, *words[2:]] if both in known else words


def _overview(modules: dict[str, str]) -> str:
    width = max(map(len, modules))
    rows = []
    for verb, module in modules.items():
        text = _docstring(module).splitlines()[0].partition(": ")[2] or _docstring(module)
        rows.append(f"  {verb.replace('_', ' '):<{width}}  {text}")
    return "\n".join(
        [
            "imitate VERB key=value …        demonstrations in, audited dataset, policy, honest evaluation",
            "",
            *rows,
            "",
            "  imitate VERB --help   shows a worked example and the keys of a command",
            "  imitate VERB … --json prints the result as one JSON object",
        ]
    )


def _docstring(module: str) -> str:
    """The docstring of a command's module, read without importing what the command needs."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    return ast.get_docstring(ast.parse(Path(spec.origin).read_text())) or ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main())
