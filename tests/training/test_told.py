"""Policies that are told what to do: demonstrations, view, training, and acting by the sentence alone."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from two_ways import TEXTS, TwoWaysConfig

from imitate.checkpoint import load_policy
from imitate.cli.main import main
from imitate.collection.collect import collect
from imitate.collection.demonstrate import Recipe
from imitate.datasets.loader import DataConfig
from imitate.datasets.store import DemoStore
from imitate.datasets.views.instructing import Instruct
from imitate.datasets.views.making import derive
from imitate.errors import ConfigError, EnvError
from imitate.instruction import unseen
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policies.nets.observation import ObservationConfig
from imitate.policy import Horizons
from imitate.rollout import rollout
from imitate.training.config import TrainConfig
from imitate.training.optimizer import AdamWConfig
from imitate.training.run import Run
from imitate.training.start import start

SEEDS = range(70_000, 70_050)
FAST = ["episodes=10", "videos=0", "rollout.workers=0", "rollout.batch=4", "device=cpu"]
SILENT_ENV = TwoWaysConfig(says=False)


def settings(told: Path, env: TwoWaysConfig | None, **changes: object) -> Run:
    observation = ObservationConfig(goal=("instruction",), goal_dropout=0.3)
    policy = BehaviourCloningConfig(Horizons(2, 4, 2), observation, width=64)
    train = {"max_steps": 300, "max_minutes": None, "batch_size": 64, "device": "cpu", "precision": "fp32"}
    train |= {"evaluations": 1, "eval_episodes": 4, "eval_workers": 0, **changes}
    return Run(policy, env, DataConfig(str(told)), AdamWConfig(), TrainConfig(**train))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("told")
    collect(Recipe(TwoWaysConfig(), expert_noise=0.1), 40, 0, folder / "demos.zarr")
    return derive(DemoStore.open(folder / "demos.zarr"), [Instruct()], folder / "told.view.json").path


@pytest.fixture(scope="module")
def run(told: Path) -> Path:
    start(settings(told, TwoWaysConfig()), told.parent / "run")
    return told.parent / "run"


@pytest.fixture(scope="module")
def silent_run(told: Path, run: Path) -> Path:
    """The same, trained without an environment."""
    start(settings(told, None), told.parent / "silent")
    return told.parent / "silent"


def test_collecting_says_what_each_episode_is_about(told: Path) -> None:
    with DemoStore.open(told.parent / "demos.zarr") as store:
        records = [store.record(index) for index in range(len(store))]
    assert [record.metadata["task"] for record in records] == [TEXTS[r.metadata["seed"] % 2] for r in records]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_policy_does_what_the_environment_says(run: Path, workers: int) -> None:
    done = rollout(load_policy(run).policy, TwoWaysConfig(), SEEDS, workers=workers)
    for right in (0, 1):
        share = np.mean([episode.success for episode in done.episodes if episode.seed % 2 == right])
        assert share > 0.9, (TEXTS[right], share)


@pytest.mark.parametrize(("text", "sign"), [("go left", -1), ("Go right!", 1)])
def test_a_policy_does_what_it_is_told_whatever_the_environment_says(run: Path, text: str, sign: int) -> None:
    policy = load_policy(run).policy
    for env in (TwoWaysConfig(), SILENT_ENV):
        done = rollout(policy, env, SEEDS, workers=0, instruction=text)
        assert np.mean([sign * episode.final_obs["position"][0] > 1 for episode in done.episodes]) > 0.9


def test_it_goes_on_where_the_sentence_is_hidden(run: Path) -> None:
    """Goal dropout: half way, the place tells where to go."""
    policy = load_policy(run).policy
    hidden = policy.normalizer.state.inverse(torch.zeros(1, policy.normalizer.state.size))["instruction"]
    places = torch.cat([torch.linspace(-1, -0.4, 20), torch.linspace(0.4, 1, 20)])
    sign = torch.sign(places)
    position = torch.stack([places - 0.08 * sign, places], 1)[..., None]
    obs = {"position": position, "instruction": hidden.expand(40, 2, -1)}
    actions = policy.predict(obs, torch.Generator().manual_seed(0)).values
    assert (torch.sign(actions[:, 0, 0]) == sign).float().mean() > 0.9
    assert (actions[:, 0, 0] * sign).mean() > 0.4


def test_the_checkpoint_knows_how_sentences_become_vectors(run: Path) -> None:
    array = load_policy(run).policy.spec.obs["instruction"]
    assert (array.encoder, array.shape, set(array.sentences)) == ("words", (64,), set(TEXTS))


def test_without_anybody_who_says_it_nothing_begins(told: Path, run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"TwoWays does not say what to do: add  train\.evaluations=0"):
        start(settings(told, SILENT_ENV), tmp_path / "run")
    with pytest.raises(EnvError, match="nobody says what is to be done"):
        rollout(load_policy(run).policy, SILENT_ENV, SEEDS, workers=0)


def test_rollout_takes_a_sentence(
    silent_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = "++env._target_=two_ways.TwoWaysConfig"
    silent = ["rollout", f"checkpoint={silent_run}", f"out={tmp_path / 'a'}", env, *FAST]
    assert main([*silent, "++env.says=false"]) == 2
    said = " ".join(capsys.readouterr().err.strip().split("  "))
    assert "add rollout.instruction='…'" in said and "'go left', 'go right'" in said and "\n" not in said
    assert main([*silent, "++env.says=false", "rollout.instruction=Don't go, turn around!"]) == 0
    captured = capsys.readouterr()
    assert 'never told in training: "Don\'t go, turn around!"' in captured.err
    assert 'told      "Don\'t go, turn around!"' in captured.out
    origin = json.loads((tmp_path / "a/rollout.json").read_text())["provenance"]
    assert origin["rollout"]["instruction"] == "Don't go, turn around!"
    assert main(["reproduce", str(tmp_path / "a"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "bitwise"
    assert main([*silent, "++env.says=true", f"record={tmp_path / 'r.zarr'}"]) == 0
    captured = capsys.readouterr()
    assert "never told" not in captured.err
    assert "told      'go left', 'go right'" in captured.out
    assert main([*silent, "rollout.instruction=…"]) == 2
    assert "rollout.instruction is '…', expected a sentence" in capsys.readouterr().err
    with DemoStore.open(tmp_path / "r.zarr") as store:
        assert set(store.spec.obs) == {"position", "instruction"}
        episode = store.episode(0)
        assert episode.metadata["task"] == TEXTS[episode.metadata["seed"] % 2]
        assert len(np.unique(episode.obs["instruction"], axis=0)) == 1


def test_stress_tells_it_too(silent_run: Path, tmp_path: Path) -> None:
    kinds = ["stress.kinds=[noise,delay]", "stress.sizes.noise=[0.01]", "stress.sizes.delay=[1]"]
    words = [w for w in FAST if not w.startswith("videos")]
    env = "++env._target_=two_ways.TwoWaysConfig"
    out = f"out={tmp_path / 's'}"
    assert main(["stress", f"checkpoint={silent_run}", out, env, "videos=false", *kinds, *words]) == 0
    rows = json.loads((tmp_path / "s/stress.json").read_text())["rows"]
    assert [row["success_rate"] for row in rows] == [1.0, 1.0, 1.0]


def test_a_policy_that_does_not_listen_says_so(told: Path, tmp_path: Path) -> None:
    plain = settings(told, TwoWaysConfig(), max_steps=4, evaluations=0)
    policy = BehaviourCloningConfig(Horizons(2, 4, 2), width=16)
    deaf = DataConfig(str(told), obs=("position",))
    start(Run(policy, plain.env, deaf, plain.optim, plain.train), tmp_path / "run")
    loaded = load_policy(tmp_path / "run")
    assert set(loaded.policy.spec.obs) == {"position"}
    assert unseen(loaded.policy.spec, ["anything"]) == ""
    assert rollout(loaded.policy, TwoWaysConfig(), SEEDS[:2], workers=0).episodes
