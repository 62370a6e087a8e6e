"""From pictures to a policy that acts on pictures: the whole way, in small, with a real camera."""

import json
from pathlib import Path

import pytest

from imitate.checkpoint import load_policy
from imitate.cli.main import main
from imitate.envs.tabletop.reach import ReachConfig
from imitate.errors import EnvError
from imitate.runtime import open_bundle

CAMERAS = ["env=tabletop/reach", "env.cameras=[front,wrist]", "env.image_size=[48,48]", "env.max_steps=4"]
TRAIN = ["train.max_steps=2", "train.batch_size=4", "train.evaluations=0", "train.device=cpu"]
TRAIN += ["data.val_fraction=0"]


def require_drawing() -> None:
    env = ReachConfig(cameras=("front",), image_size=(48, 48)).build()
    try:
        env.reset(seed=0)
    except EnvError as error:
        pytest.skip(str(error))
    finally:
        env.close()


@pytest.mark.slow
@pytest.mark.parametrize("network", ["resnet18", "vit_tiny"])
def test_trained_on_pictures_and_played_on_pictures(network: str, tmp_path: Path, capsys) -> None:
    require_drawing()
    store, run, out = tmp_path / "seen.zarr", tmp_path / "run", tmp_path / "rollout"
    collect = [*CAMERAS[:-1], "episodes=2", "seed=0", f"out={store}"]
    assert main(["collect", *collect]) == 0
    data = [
        f"data.path={store}",
        "data.obs=[joints,front,wrist]",
        f"policy.observation.image.network={network}",
    ]
    assert main(["train", "policy=bc", *CAMERAS, *data, f"out={run}", *TRAIN]) == 0
    keys = [f"checkpoint={run}", f"out={out}", "episodes=1", "videos=0", "rollout.workers=0", "device=cpu"]
    assert main(["rollout", *keys]) == 0
    result = json.loads((out / "rollout.json").read_text())
    assert result["episodes"][0]["length"] == 4
    assert result["provenance"]["policy"]["observation"]["image"]["network"] == network


@pytest.mark.slow
def test_a_policy_over_states_is_given_eyes_and_leaves_as_a_bundle(tmp_path: Path, capsys) -> None:
    require_drawing()
    store, states, run, out = (tmp_path / name for name in ("seen.zarr", "states", "run", "rollout"))
    cameras = ["env=tabletop/push", "env.cameras=[front]", "env.image_size=[32,32]"]
    assert main(["collect", *cameras, "episodes=2", "seed=0", f"out={store}"]) == 0
    learn = [f"data.path={store}", *TRAIN]
    assert main(["train", "policy=bc", "env=tabletop/push", *learn, f"out={states}"]) == 0
    hidden = ["object", "ee_to_object", "object_to_goal"]
    words = ["policy=seeing", f"policy.teacher={states}", f"policy.estimate=[{','.join(hidden)}]"]
    assert main(["train", *words, *cameras, "env.max_steps=4", *learn, f"out={run}"]) == 0
    keys = [f"checkpoint={run}", f"out={out}", "episodes=1", "videos=0", "rollout.workers=0", "device=cpu"]
    assert main(["rollout", *keys, "policy.acting.horizons.action_steps=2"]) == 0
    provenance = json.loads((out / "rollout.json").read_text())["provenance"]
    assert provenance["policy"]["acting"]["horizons"]["action_steps"] == 2
    seen = set(load_policy(run).policy.spec.obs)
    assert "front" in seen and not seen & set(hidden)
    pytest.importorskip("onnxruntime")
    capsys.readouterr()
    assert main(["export", f"checkpoint={run}", f"out={tmp_path / 'p.imitate'}", f"data.path={store}"]) == 0
    assert set(open_bundle(tmp_path / "p.imitate").policy().spec.obs) == seen


def test_pictures_that_are_too_small_are_one_line(tmp_path: Path, capsys) -> None:
    require_drawing()
    small = [word.replace("48", "32") for word in CAMERAS]
    store = tmp_path / "seen.zarr"
    assert main(["collect", *small[:-1], "episodes=1", "seed=0", f"out={store}"]) == 0
    capsys.readouterr()
    assert main(["train", "policy=bc", *small, f"data.path={store}", f"out={tmp_path / 'run'}", *TRAIN]) == 2
    assert "observation 'front': resnet18 would see 29 x 29 px of 32 x 32" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
