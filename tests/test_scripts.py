"""The scripts of the README, run for real in a copy of what they need, on a PATH without apt-get and uv."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ("quickstart", "test", "environment.sh")
EXTRAS = (
    "core",
    "dev",
    "metaworld",
    "pusht",
    "images",
    "export",
    "ros",
    "lerobot-data",
    "robosuite",
    "robomimic",
)
ABSENT = ("python", "uv", "apt-get", "sudo", "imitate")

TIMEOUT_S = 570  # A machine with other work to do is no failure.

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux", reason="the scripts are for Linux"),
]


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH: the system's tools without Python and everything that installs."""
    folder = tmp_path_factory.mktemp("tools")
    for source in ("/usr/bin", "/bin"):
        for tool in Path(source).iterdir():
            if not tool.name.startswith(ABSENT) and not (folder / tool.name).exists():
                (folder / tool.name).symlink_to(tool)
    return folder


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone as far as the scripts look at it, in a folder with a space in its name."""
    clone = tmp_path / "a clone"
    shutil.copytree(ROOT / "scripts", clone / "scripts", ignore=shutil.ignore_patterns("benchmarks"))
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, clone)
    return clone


@pytest.fixture
def ready(clone: Path) -> Path:
    """A clone whose .venv is complete: it borrows the packages of the environment that runs this test."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", clone / ".venv"], check=True)
    packages = next((clone / ".venv/lib").glob("python*/site-packages"))
    borrowed = sysconfig.get_paths()["purelib"]
    (packages / "borrowed.pth").write_text(f"import site; site.addsitedir({borrowed!r})\n")
    executable(clone / ".venv/bin/imitate", 'exec "$(dirname "$0")/python" -m imitate "$@"')
    stamp = '. scripts/environment.sh; for e in "$@"; do echo "$(fingerprint) $e"; done >"$STAMP"'
    subprocess.run(["bash", "-c", stamp, "-", *EXTRAS], cwd=clone, check=True)
    return clone


def executable(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def run(clone: Path, *command: str, path: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a script of `clone` from another folder, with nothing on standard input."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_", "VIRTUAL_ENV", "PYTHON"))}
    script = ["bash", str(clone / "scripts" / command[0]), *command[1:]]
    with subprocess.Popen(
        script,
        cwd=clone.parent,
        env={**kept, "PATH": str(path), **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            stdout, stderr = process.communicate(timeout=TIMEOUT_S)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(script, process.returncode, stdout, stderr)


def with_python(tools: Path, folder: Path, body: str) -> Path:
    """The tools and a python3 that does `body`; "$@" are its arguments."""
    folder.mkdir()
    for tool in tools.iterdir():
        (folder / tool.name).symlink_to(tool)
    executable(folder / "python3", body)
    return folder


REAL = f'exec {sys.executable} "$@"'


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_valid(name: str) -> None:
    subprocess.run(["bash", "-n", str(ROOT / "scripts" / name)], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(
            ["shellcheck", "-S", "warning", "-x", "-P", "scripts", f"scripts/{name}"], cwd=ROOT, check=True
        )


@pytest.mark.parametrize("name", ["quickstart", "test"])
def test_a_python_that_is_too_old_is_one_clear_line(
    name: str, clone: Path, tools: Path, tmp_path: Path
) -> None:
    old = with_python(tools, tmp_path / "old", '[ "$1" = -V ] && exec echo Python 3.10.4; exit 1')
    done = run(clone, name, path=old)
    assert done.returncode == 1 and not (clone / ".venv").exists()
    assert done.stderr == (
        "error: Python 3.11 to 3.13 is needed, found Python 3.10.4: install python3.12 or uv\n"
    )


def test_no_python_at_all_is_one_clear_line(clone: Path, tools: Path) -> None:
    done = run(clone, "quickstart", path=tools)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: Python 3.11 to 3.13 is needed, found none")


def test_a_python_without_venv_names_the_package_to_install(clone: Path, tools: Path, tmp_path: Path) -> None:
    bare = with_python(tools, tmp_path / "bare", f'[ "$2" = venv ] && exit 1; {REAL}')
    done = run(clone, "test", path=bare)
    assert done.returncode == 1
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"run  sudo apt-get install python{version}-venv" in done.stderr.splitlines()[-1]


def test_no_package_index_is_one_clear_line(clone: Path, tools: Path, tmp_path: Path) -> None:
    path = with_python(tools, tmp_path / "bin", REAL)
    nowhere = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
    done = run(clone, "quickstart", path=path, **nowhere)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the Python package index cannot be reached: check the network")
    assert len(done.stderr.splitlines()) == 1
    assert not (clone / ".venv/imitate-installed").exists()


BACKEND = """
import os, pathlib, zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    if pathlib.Path("interrupted").exists():
        os._exit(1)
    name = "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\nProvides-Extra: dev\\n")
        wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    return name
"""  # noqa: E501


def test_an_environment_is_reused_updated_and_never_taken_for_complete_half_way(
    clone: Path, tools: Path, tmp_path: Path
) -> None:
    """A tiny project without dependencies stands in for this one, so that pip needs no index."""
    (clone / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "tiny"\nversion = "1.0"\n'
    )
    (clone / "backend.py").write_text(BACKEND)
    executable(
        clone / "scripts/make", 'set -euo pipefail; . "$(dirname "$0")/environment.sh"; make_environment "$@"'
    )
    path = with_python(tools, tmp_path / "bin", REAL)

    def make(*extras: str) -> str:
        done = run(clone, "make", *extras, path=path, PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull)
        return done.stdout + done.stderr

    (clone / "interrupted").touch()
    assert "error: pip failed" in make()
    (clone / "interrupted").unlink()
    text = make()
    assert "Installing into .venv" in text and "error" not in text and "Creating" not in text
    assert "Using the environment" in make()
    assert "Installing into .venv" in make("dev")
    assert "Using the environment" in make("dev") and "Using the environment" in make()
    (clone / "constraints.txt").write_text("tiny==1.0\n")
    (clone / "interrupted").touch()
    assert "error: pip failed" in make()
    (clone / "interrupted").unlink()
    assert "Installing into .venv" in make()
    assert "Installing into .venv" in make("dev")
    shutil.rmtree(clone / ".venv/bin")
    assert "Creating .venv" in make()


def test_the_test_script_passes_its_arguments_on(ready: Path, tools: Path) -> None:
    done = run(ready, "test", "--version", path=tools)
    assert done.returncode == 0, done.stderr
    assert f"pytest {pytest.__version__}" in done.stdout + done.stderr
    assert run(ready, "test", "tests/no_such_file.py", path=tools).returncode == 4


def test_what_is_compiled_is_kept_for_the_next_command(ready: Path, tools: Path) -> None:
    (ready / "module.py").touch()
    importing = '. "$(dirname "$0")/environment.sh"; cd "$ROOT"; "$PYTHON" -c "import module"'
    executable(ready / "scripts/importing", importing)
    done = run(ready, "importing", path=tools, PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode == 0, done.stderr
    assert list(ready.glob("__pycache__/module.*"))


def test_an_earlier_result_outlives_a_quickstart_that_fails(ready: Path, tools: Path) -> None:
    executable(ready / ".venv/bin/imitate", "mkdir -p runs/quickstart; exit 2")
    page = ready / "runs/quickstart/index.html"
    page.parent.mkdir(parents=True)
    page.write_text("earlier")
    done = run(ready, "quickstart", path=tools)
    assert done.returncode == 2
    assert page.read_text() == "earlier"
    assert [path.name for path in page.parent.parent.iterdir()] == ["quickstart"]


def test_an_unknown_argument_is_refused(clone: Path, tools: Path) -> None:
    done = run(clone, "quickstart", "--fast", path=tools)
    assert done.returncode == 1 and done.stderr.startswith("error: unknown argument --fast")


@pytest.mark.slow
def test_the_quickstart_runs_every_step_in_small(ready: Path, tools: Path) -> None:
    done = run(ready, "quickstart", "--trial", path=tools, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stdout + done.stderr
    out = ready / "runs/quickstart-trial"
    assert {"demos.zarr", "report.html", "train", "rollout.json", "index.html"} <= {
        p.name for p in out.iterdir()
    }
    assert f"Open the page      {out / 'index.html'}" in done.stdout
    assert not (ready / "runs/quickstart-trial.earlier").exists()
