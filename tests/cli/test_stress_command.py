"""`imitate stress` from the command line, on checkpoints of untrained policies."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from line_env import LineConfig
from untrained import checkpoint

from imitate.checkpoint import BEST, describe, save
from imitate.cli.main import main
from imitate.config import compose
from imitate.env import EnvConfig
from imitate.envs.tabletop.push import PushConfig
from imitate.errors import EnvError
from imitate.evaluation.result import load as load_rollout
from imitate.evaluation.stress.kinds import KINDS
from imitate.evaluation.stress.result import load
from imitate.parts import from_json
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policy import Horizons

FAST = ["rollout.workers=0", "rollout.batch=4", "device=cpu", "episodes=6"]
TWO = ["stress.kinds=[noise,delay]", "stress.sizes.noise=[0.5,0.1]", "stress.sizes.delay=[2]"]


def run_folder(folder: Path, env: EnvConfig, weights_seed: int = 0) -> Path:
    """A policy that moves, and sometimes comes to where the line environment wants it."""
    torch.manual_seed(weights_seed)
    config = BehaviourCloningConfig(horizons=Horizons(2, 8, 4), width=16, layers=1)
    policy = config.build(env.build().data_spec)
    about = describe(config, policy, env, data_hash="d", seeds={}, step=5, metrics={}, training={})
    folder.mkdir()
    save(folder / BEST, {f"ema/{name}": t for name, t in policy.state_dict().items()}, about)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_folder(tmp_path_factory.mktemp("runs") / "x", LineConfig(max_steps=25))


@pytest.fixture(scope="module")
def swept(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("swept") / "stress"
    assert main(["stress", f"checkpoint={run}", f"out={out}", *TWO, *FAST]) == 0
    return out


def said_by(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    return captured.err


def test_the_sweep_starts_with_what_rollout_plays(run: Path, swept: Path, tmp_path: Path) -> None:
    keys = [f"checkpoint={run}", f"out={tmp_path / 'o'}", "videos=0", *FAST]
    assert main(["rollout", *keys]) == 0
    result = load(swept)
    assert result.plain.episodes == load_rollout(tmp_path / "o").episodes
    assert [(cell.kind, cell.size) for cell in result.cells] == [
        ("none", 0.0),
        ("noise", 0.1),
        ("noise", 0.5),
        ("delay", 2.0),
    ]
    for cell in result.cells:
        assert [episode.seed for episode in cell.result.episodes] == list(range(100_000, 100_006))
        config = from_json(cell.result.provenance["env"])
        env = config if cell.kind == "none" else config.env
        assert env == LineConfig(max_steps=25)
    assert result.cells[1].result.episodes != result.plain.episodes


def test_the_file_says_what_follows_from_its_rows(swept: Path) -> None:
    told = json.loads((swept / "stress.json").read_text())
    plain, *rows = told["rows"]
    assert plain["difference"] == 0.0 and told["success_rate"] == plain["success_rate"]
    for row in rows:
        assert row["difference"] == pytest.approx(row["success_rate"] - plain["success_rate"])
        low, high = row["difference_interval"]
        assert low <= row["difference"] <= high
    assert [one["kind"] for one in told["halving"]] == ["noise", "delay"]
    assert told["noise"]["values"] == {"position": [1.0], "velocity": [1.0, 1.0]}  # an unfitted normaliser
    assert load(swept).to_json() == told


def test_the_page_shows_curves_films_and_rows(swept: Path) -> None:
    page = (swept / "index.html").read_text()
    result = load(swept)
    for text in ("Noise of observations", "Delay of observations", "Where success halves", "Every size"):
        assert text in page
    assert page.count("data:video/mp4;base64,") == 2 == len(result.films)
    assert {film["file"] for film in result.films.values()} == {"videos/noise.mp4", "videos/delay.mp4"}
    assert sorted(path.name for path in (swept / "videos").iterdir()) == ["delay.mp4", "noise.mp4"]


@pytest.mark.slow
def test_a_sweep_goes_on_with_what_it_has(run: Path, tmp_path: Path, capsys) -> None:
    keys = ["stress", f"checkpoint={run}", f"out={tmp_path / 's'}", "videos=false", *FAST]
    assert main([*keys, "stress.kinds=[drop]", "stress.sizes.drop=[0.5]"]) == 0
    before = load(tmp_path / "s").cells
    assert main([*keys, *TWO, "rollout.workers=1"]) == 0
    assert "1 of 4 cells were played before" in capsys.readouterr().err
    result = load(tmp_path / "s")
    assert result.cells[:2] == before
    assert result.kinds == ["noise", "delay", "drop"]
    assert not (tmp_path / "s" / "videos").exists()


def test_what_was_played_otherwise_is_never_mixed_in(run: Path, swept: Path, tmp_path: Path, capsys) -> None:
    other = run_folder(tmp_path / "other", LineConfig(max_steps=25), weights_seed=1)
    kept = (swept / "stress.json").read_bytes()
    for change, named in (
        ([f"checkpoint={other}"], "another checkpoint_hash"),
        ([f"checkpoint={run}", "episodes=5"], "another seeds"),
        ([f"checkpoint={run}", "rollout.batch=2"], "another rollout"),
        ([f"checkpoint={run}", "stress.noise_unit=m"], "another env"),
    ):
        said = said_by(["stress", f"out={swept}", *TWO, *FAST, *change], capsys)
        assert named in said and "choose another" in said
    assert (swept / "stress.json").read_bytes() == kept


def test_a_film_of_the_same_episode_is_kept(run: Path, swept: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    shutil.copytree(swept, out)
    (out / "videos" / "noise.mp4").write_bytes(b"kept")
    (out / "videos" / "delay.mp4").unlink()
    assert main(["stress", f"checkpoint={run}", f"out={out}", *TWO, *FAST]) == 0
    assert (out / "videos" / "noise.mp4").read_bytes() == b"kept"
    # An encoder with several threads does not always write the same bytes for the same frames.
    sizes = [(folder / "videos" / "delay.mp4").stat().st_size for folder in (out, swept)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


def test_two_policies_on_one_page(swept: Path, tmp_path: Path) -> None:
    other = run_folder(tmp_path / "other", LineConfig(max_steps=25), weights_seed=1)
    keys = [f"checkpoint={other}", f"out={tmp_path / 's'}", f"against={swept}", "videos=false", *FAST]
    assert main(["stress", *keys, "stress.kinds=[delay,drop]", "stress.sizes.drop=[0.5]"]) == 0
    page = (tmp_path / "s" / "index.html").read_text()
    assert "of the policy compared with" in page and "not played" in page and "Squares" in page


def test_the_world_changes_where_it_can_and_the_rest_is_said(tmp_path: Path, capsys) -> None:
    run = checkpoint(tmp_path, PushConfig(max_steps=4))
    sizes = [f"stress.sizes.{kind}=[{KINDS[kind].sizes[-1]}]" for kind in ("friction", "mass", "camera")]
    keys = [f"checkpoint={run}", f"out={tmp_path / 's'}", "stress.kinds=[friction,mass,camera]", *sizes]
    assert main(["stress", *keys, *FAST, "episodes=2", "videos=false"]) == 0
    captured = capsys.readouterr()
    assert "left out  camera: the policy sees no images" in captured.out
    result = load(tmp_path / "s")
    assert result.kinds == ["friction", "mass"]
    assert not result.halving("mass").is_defined  # it never succeeds
    assert "nothing to halve" in (tmp_path / "s" / "index.html").read_text()


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy trained for a moment on pictures of tabletop/reach and where the hand is, not on the mark."""
    folder = tmp_path_factory.mktemp("seeing")
    env = ["env=tabletop/reach", "env.cameras=[front]", "env.image_size=[32,32]", "env.max_steps=12"]
    try:
        assert main(["collect", *env, "episodes=2", "seed=0", f"out={folder / 'seen.zarr'}"]) == 0
    except EnvError as error:
        pytest.skip(str(error))
    words = ["policy=bc", "policy.observation.image.network=small", "data.obs=[ee_pos,front]"]
    words += [f"data.path={folder / 'seen.zarr'}", "data.val_fraction=0", f"out={folder / 'run'}"]
    steps = ["train.max_steps=20", "train.batch_size=8", "train.evaluations=0", "train.device=cpu"]
    assert main(["train", *env, *words, *steps]) == 0
    return folder / "run"


@pytest.mark.slow
def test_a_policy_that_sees_pictures_is_swept_by_what_changes_them(seeing: Path, tmp_path: Path) -> None:
    sizes = {"noise": 0.5, "delay": 3, "drop": 0.8, "lighting": 1.0, "camera": 30}
    words = [f"stress.sizes.{kind}=[{size}]" for kind, size in sizes.items()]
    keys = [f"checkpoint={seeing}", f"out={tmp_path / 's'}", f"stress.kinds=[{','.join(sizes)}]", *FAST]
    assert main(["stress", *keys, *words, "episodes=2"]) == 0
    result = load(tmp_path / "s")
    assert result.kinds == list(sizes) and result.left_out == () and set(result.films) == set(sizes)
    assert result.noise["values"]["front"] == [127.5] and "grey levels" in result.noise["words"]
    ends = [[e.final_obs["ee_pos"] for e in cell.result.episodes] for cell in result.cells]
    assert all(end != ends[0] for end in ends[1:])  # the hand goes elsewhere
    page = (tmp_path / "s" / "index.html").read_text()
    for kind in sizes:
        assert KINDS[kind].title in page
    # From the same starts and with the same draws, whoever plays and whatever was played before.
    again = [
        *keys[:1],
        f"out={tmp_path / 't'}",
        *keys[2:-1],
        "episodes=2",
        "rollout.workers=1",
        "videos=false",
    ]
    assert main(["stress", *again, *words, "stress.kinds=[camera,noise]"]) == 0
    for cell in load(tmp_path / "t").cells:
        assert cell.result.episodes == result.find(cell.kind, cell.size).episodes


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["episodes=0"], "episodes is 0"),
        (
            ["stress.kinds=[nois]"],
            "stress.kinds has 'nois': there is no such perturbation (did you mean 'noise'",
        ),
        (["stress.sizes.delay=[1.5]"], "stress.sizes.delay has 1.5, expected a whole number"),
        (["stress.sizes.drop=[2]"], "stress.sizes.drop has 2, expected 0 to 1"),
        (["stress.sizes.push=[-1]"], "stress.sizes.push has -1, expected 0 or more"),
        (["stress.sizes.noise=[0,1]"], "expected sizes above 0"),
        (["stress.sizes.noise=[]"], "expected sizes above 0"),
        (
            ["stress.noise_unit=kg"],
            "stress.noise_unit is 'kg', expected spread, or a unit of the observations: m",
        ),
        (["stress.sizes.nois=[1]"], "did you mean 'stress.sizes.noise'"),
        (["against=nowhere"], "nowhere: there is no such file"),
    ],
)
def test_mistakes_are_answered_in_one_line(run: Path, tmp_path: Path, capsys, keys, message) -> None:
    out = tmp_path / "out"
    assert message in said_by(["stress", f"checkpoint={run}", f"out={out}", *FAST, *keys], capsys)
    assert not out.exists()


def test_a_damaged_sweep_is_named_and_kept(run: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "stress.json").write_text('{"rows": [')
    said = said_by(["stress", f"checkpoint={run}", f"out={tmp_path}", *TWO, *FAST], capsys)
    assert "stress.json cannot be read" in said
    (tmp_path / "stress.json").write_text('{"rows": [{"kind": "noise"}]}')
    assert "not the result of a sweep" in said_by(
        ["stress", f"checkpoint={run}", f"out={tmp_path}", *FAST], capsys
    )
    (tmp_path / "file").write_text("mine")
    said = said_by(["stress", f"checkpoint={run}", f"out={tmp_path / 'file'}", *FAST], capsys)
    assert "is a file" in said and (tmp_path / "file").read_text() == "mine"


def test_the_yaml_has_the_sizes_of_the_code() -> None:
    sizes = compose("stress", ["checkpoint=x", "out=y"]).stress.sizes
    assert {name: tuple(map(float, kind.sizes)) for name, kind in KINDS.items()} == sizes
