"""A policy that listens, on a robot and behind a server: what it is told is all that it needs besides."""

import json
from pathlib import Path

import numpy as np
import pytest
import untrained
from served_policy import serving

from imitate.cli.main import main
from imitate.datasets.store import DemoStore
from imitate.deploy.predictor import Loaded, load_predictor
from imitate.deploy.told import telling
from imitate.errors import ConfigError, ServerError, SpecError
from imitate.export.played import load_exported
from imitate.instruction import repeated
from imitate.runtime import open_bundle
from imitate.serving.answering import load_answerer
from imitate.serving.client import PolicyClient

TEXTS = ("reach the target", "stay away")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained.checkpoint(tmp_path_factory.mktemp("told"), sentences=TEXTS)


@pytest.fixture(scope="module")
def bundle(checkpoint: Path) -> Path:
    out = checkpoint.parent / "policy.imitate"
    assert main(["export", f"checkpoint={checkpoint}", f"out={out}"]) == 0
    return out


def seen(loaded: Loaded) -> dict[str, np.ndarray]:
    obs, steps = loaded.predictor.spec.obs, loaded.predictor.obs_steps
    return {key: np.full((steps, *array.shape), 0.1, array.dtype) for key, array in obs.items()}


def chunk(loaded: Loaded, obs: dict[str, np.ndarray]) -> np.ndarray:
    return loaded.predictor.predict(obs, np.random.default_rng(0))


@pytest.mark.parametrize("kind", ["checkpoint", "bundle"])
def test_telling_it_is_observing_the_sentence(kind: str, request: pytest.FixtureRequest) -> None:
    loaded = load_predictor(str(request.getfixturevalue(kind)))
    array = loaded.predictor.spec.obs["instruction"]
    assert array.sentences == TEXTS
    chunks = []
    for text in (*TEXTS, "Reach the target!"):
        told, task = telling(loaded, text)
        assert task == text
        assert "instruction" not in told.predictor.spec.obs
        obs = seen(told)
        whole = {**obs, "instruction": repeated(text, array, told.predictor.obs_steps)}
        assert np.array_equal(chunk(told, obs), chunk(loaded, whole))
        chunks.append(chunk(told, obs))
    assert np.array_equal(chunks[0], chunks[2])
    assert not np.allclose(chunks[0], chunks[1])


def test_who_is_told_nothing_or_does_not_listen(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"add  instruction='…'; in training it was 'reach the target', '"):
        telling(load_predictor(str(checkpoint)), None)
    deaf = load_predictor(str(untrained.checkpoint(tmp_path)))
    assert telling(deaf, None) == (deaf, "")
    with pytest.raises(ConfigError, match="instruction is 'go', but the policy does not listen"):
        telling(deaf, "go")
    (tmp_path / "one").mkdir()
    one = load_predictor(str(untrained.checkpoint(tmp_path / "one", sentences=("reach",))))
    assert telling(one, None)[1] == "reach"


def test_states_of_the_demonstrations_lose_the_sentence(checkpoint: Path) -> None:
    loaded = load_predictor(str(checkpoint))
    states = np.arange(2.0 * len(loaded.predictor.spec.states())).reshape(2, -1)
    told, _ = telling(Loaded(loaded.predictor, {}, None, states, states[:1]), "go on")
    kept = [n for n, name in enumerate(loaded.predictor.spec.states()) if not name.startswith("instruction.")]
    assert told.training is not None and told.held_out is not None
    assert np.array_equal(told.training, states[:, kept])
    assert np.array_equal(told.held_out, states[:1, kept])


@pytest.mark.parametrize("kind", ["checkpoint", "bundle"])
def test_a_session_says_what_was_told_and_so_do_its_demonstrations(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy, out = request.getfixturevalue(kind), tmp_path / "session"
    command = ["deploy", f"policy={policy}", f"out={out}", "mode=run", "arm=tester"]
    capsys.readouterr()
    assert main(command) == 2
    said = capsys.readouterr().err.strip()
    assert "the policy acts by what it is told" in said and "\n" not in said
    assert not out.exists()
    assert main([*command, "instruction=reach it, then wait"]) == 0
    assert "never told in training: 'reach it, then wait'" in capsys.readouterr().err
    assert json.loads((out / "session.json").read_text())["task"] == "reach it, then wait"
    assert main(["import", f"src={out / 'session.mcap'}", f"out={tmp_path / 'demos.zarr'}"]) == 0
    with DemoStore.open(tmp_path / "demos.zarr") as store:
        assert store.record(0).metadata["task"] == "reach it, then wait"
        assert "instruction" not in store.spec.obs


def test_robot_check_does_not_look_for_the_sentence(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["robot", "check", "robot=sim", f"policy={checkpoint}"]) == 0
    assert "observation instruction is what it is told" in capsys.readouterr().out


def test_the_runtime_takes_a_text(bundle: Path) -> None:
    policy = open_bundle(bundle).policy()
    loaded = load_predictor(str(bundle))
    obs = seen(loaded) | {"instruction": repeated(TEXTS[0], policy.spec.obs["instruction"], 2)}
    noise = np.zeros(policy.noise_size, np.float32)
    by_text = policy.predict_with({**obs, "instruction": "reach the target"}, noise)
    assert np.array_equal(by_text, policy.predict_with(obs, noise))
    with pytest.raises(ConfigError, match="expected a sentence with words"):
        policy.predict_with({**obs, "instruction": "…"}, noise)
    with pytest.raises(SpecError, match="'joints'"):
        policy.predict_with({**obs, "joints": "reach"}, noise)
    assert load_exported(bundle).policy.spec.obs["instruction"].sentences == TEXTS


def test_a_client_of_a_server_sends_a_text(checkpoint: Path) -> None:
    answerer = load_answerer(str(checkpoint), "cpu", None, 1)
    loaded = load_predictor(str(checkpoint))
    obs = seen(loaded)
    with serving(answerer) as server, PolicyClient(f"ws://127.0.0.1:{server.port}") as client:
        assert client.spec.obs["instruction"].sentences == TEXTS
        by_text = client.predict({**obs, "instruction": "stay away"}, seed=1)
        by_vector = repeated("stay away", client.spec.obs["instruction"], 2)
        assert np.array_equal(by_text, client.predict({**obs, "instruction": by_vector}, seed=1))
        for wrong, message in (("!", "expected a sentence with words"), (3, "instruction")):
            with pytest.raises(ServerError, match=message):
                client.predict({**obs, "instruction": wrong})  # type: ignore[dict-item]
