"""The entry point as a user meets it: exit codes, one line per mistake, no traceback."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from imitate.cli.main import main
from imitate.config import verbs


def run(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("verb", verbs())
def test_help_of_every_verb_shows_a_worked_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = verb.split("_")
    code, out, err = run([*words, "--help"], capsys)
    assert code == 0 and not err
    assert out.startswith(f"imitate {' '.join(words)}: ")
    assert f"    imitate {' '.join(words)}" in out


def test_overview_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(["--help"], capsys)
    assert code == 0
    assert all(f"  {verb.replace('_', ' ')} " in out for verb in verbs())


def test_the_first_word_of_several_commands_shows_those(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(["data", "--help"], capsys)
    assert code == 0 and "  data filter " in out and "  data undo " in out and "  train " not in out
    code, _, err = run(["data", "fitler"], capsys)
    assert code == 2 and "'data fitler' (did you mean 'data filter'?); see imitate data --help" in err


def test_nothing_asked_for_shows_the_overview_but_did_no_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([], capsys)[0] == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("trian", "unknown command 'trian' (did you mean 'train'?)"),
        ("train --jsn", "unknown option --jsn (did you mean '--json'?)"),
        ("train out", "'out' is not of the form key=value"),
        ("train out=x", "imitate train needs data.path: add data.path=…"),
        ("train out=x data.path=y polcy=bc", "unknown key polcy (did you mean 'policy'?)"),
        ("train policy=difusion", "policy=difusion: there is no such policy (did you mean 'diffusion'?)"),
        ("train env=tabletop/pick_plce", "there is no such env (did you mean 'tabletop/pick_place'?)"),
        ("train optim.lrr=1", "unknown key optim.lrr (did you mean 'optim.lr'?)"),
        ("train policy=act policy.kl_wieght=1", "policy.kl_wieght (did you mean 'policy.kl_weight'?)"),
        (
            "train out=x data.path=y train.batch_size=many",
            "train.batch_size is 'many', expected a whole number",
        ),
        ("train out=x data.path=y train.batch_size=0", "train.batch_size is 0, expected at least 1"),
        ("inspect data.path=no/such.zarr", "no does not exist"),
        ("rollout checkpoint=no/run out=x", "no/run"),
    ],
)
def test_a_mistake_is_one_line_that_says_how_to_mend_it(
    line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(line.split(), capsys)
    assert code == 2 and not out
    assert err.count("\n") == 1 and err.startswith("imitate: ")
    assert message in err


def test_a_network_that_no_memory_holds_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = f"{tmp_path / 'd.zarr'}"
    assert run(f"collect env=tabletop/reach episodes=2 out={store}".split(), capsys)[0] == 0
    line = f"train policy=bc policy.width=10000000 env=tabletop/reach data.path={store} out={tmp_path / 'r'}"
    code, _, err = run(line.split(), capsys)
    assert code == 2
    assert "imitate: memory ran out: " in err and "lower sizes" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "r").exists()


def test_a_command_of_its_own_process(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "imitate", "collect", "env=point_obstacle", "episodes=2"]
    done = subprocess.run(
        [*command, f"out={tmp_path / 'd.zarr'}", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    again = subprocess.run(
        [*command, f"out={tmp_path / 'd.zarr'}"], capture_output=True, text=True, check=False
    )
    assert again.returncode == 2
    assert "append=true" in again.stderr and "Traceback" not in again.stderr


def test_a_reader_that_has_had_enough_is_not_a_mistake() -> None:
    command = f"set -o pipefail; {sys.executable} -m imitate list | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    # A slow machine is shown that the parts are being looked at.
    complaints = [line for line in done.stderr.splitlines() if not line.startswith("looking")]
    assert done.returncode == 141 and not complaints
