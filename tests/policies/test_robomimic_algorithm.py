"""robomimic's own algorithms on our stores: what they are shown, that they learn, resume and act.

What every policy promises is tested in tests/contract; here is what the adapter adds.
"""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from line_env import SPEC as LINE
from line_env import LineConfig
from small_robomimic import small

from imitate.checkpoint import LAST, load_policy, read
from imitate.cli.main import main
from imitate.datasets.loader import DataConfig
from imitate.datasets.store import DemoStore
from imitate.errors import ConfigError, MissingExtraError
from imitate.parts import from_json
from imitate.policies.robomimic_algorithm import KINDS, RobomimicConfig, RobomimicPolicy
from imitate.rollout import rollout
from imitate.training.config import TrainConfig
from imitate.training.optimizer import AdamWConfig
from imitate.training.run import Run
from imitate.training.start import start
from imitate.types import ArraySpec, Batch, DataSpec, Episode, Outcome

CONFIGS = Path(__file__).resolve().parents[2] / "imitate/configs/policy"
SPEC = DataSpec({"state": ArraySpec((3,))}, ArraySpec((2,)))

needs_robomimic = pytest.mark.skipif(
    importlib.util.find_spec("robomimic") is None,
    reason="robomimic is not installed: pip install 'imitate[robomimic]'",
)


def config_of(algorithm: str) -> RobomimicConfig:
    return small(from_json(yaml.safe_load((CONFIGS / f"robomimic_{algorithm}.yaml").read_text()), "policy"))


def policy_of(algorithm: str, **settings: Any) -> RobomimicPolicy:
    """A fresh policy whose normaliser changes nothing."""
    torch.manual_seed(0)
    horizon = config_of(algorithm).horizon
    return RobomimicConfig(algorithm, horizon, settings).build(SPEC)  # type: ignore[arg-type]


def observed(count: int, steps: int) -> dict[str, torch.Tensor]:
    return {"state": torch.rand(count, steps, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1}


def batch_of(policy: RobomimicPolicy, count: int = 64) -> Batch:
    """Actions that the state determines, every other episode a failure, all of them over at once."""
    To, Tp = policy.horizons.obs_steps, policy.horizons.pred_steps
    obs = observed(count, To)
    return Batch(
        obs,
        0.5 * obs["state"][:, -1:, :2].repeat(1, Tp, 1),
        torch.zeros(count, Tp, dtype=torch.bool),
        torch.ones(count),
        Outcome(
            observed(count, Tp), torch.ones(count, Tp, dtype=torch.bool), (torch.arange(count) % 2).float()
        ),
    )


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_every_algorithm_has_its_yaml() -> None:
    assert {path.stem for path in CONFIGS.glob("robomimic_*.yaml")} == {f"robomimic_{name}" for name in KINDS}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"algorithm": "bcc"}, r"policy.algorithm is 'bcc' \(did you mean 'bc'\?\)"),
        ({"algorithm": "iql", "horizon": 2}, "policy.horizon is 2, expected 1 for iql"),
        ({"algorithm": "bc_rnn", "horizon": 0}, "policy.horizon is 0, expected at least 1"),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RobomimicConfig(**wrong)


def test_without_the_package_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "robomimic.algo", None)
    with pytest.raises(MissingExtraError, match=r"imitate\[robomimic\]"):
        RobomimicConfig().build(SPEC)


@needs_robomimic
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gmmm": {}}, r"does not know policy.settings.gmmm \(did you mean 'gmm'\?\)"),
        ({"gmm": {"modes": 3}}, r"does not know policy.settings.gmm.modes \(did you mean 'num_modes'"),
        ({"gmm": True}, "policy.settings.gmm is True, expected some of enabled, num_modes"),
        ({"gmm": {"enabled": "yes"}}, "policy.settings.gmm.enabled is 'yes', expected something like False"),
        ({"actor_layer_dims": 64}, "policy.settings.actor_layer_dims is 64, expected something like"),
        (
            {"optim_params": {"policy": {"learning_rate": {"epoch_schedule": [3]}}}},
            "learning_rate.epoch_schedule of policy",
        ),
    ],
)
def test_settings_that_robomimic_does_not_have_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RobomimicConfig(settings=settings).build(SPEC)


@needs_robomimic
@pytest.mark.parametrize("algorithm", ["bc_transformer", "cql"])
@pytest.mark.filterwarnings("error")
def test_nothing_is_printed(algorithm: str, capfd: pytest.CaptureFixture[str]) -> None:
    policy = config_of(algorithm).build(SPEC)
    batch = batch_of(policy)
    policy.learn(batch, 0)
    policy.loss(batch)
    policy.predict(batch.obs, seeded())
    assert capfd.readouterr() == ("", "")


@needs_robomimic
def test_the_recurrent_policy_acts_as_robomimics_own_after_as_many_steps() -> None:
    policy = policy_of("bc_rnn").eval()
    own, obs = policy._algorithm, observed(5, 10)
    own.reset()
    with torch.no_grad():
        wanted = [own.get_action({"state": obs["state"][:, step]}) for step in range(10)][-1]
    torch.testing.assert_close(policy.predict(obs, seeded()).values[:, 0], wanted)
    forgetful = {"state": obs["state"].clone()}
    forgetful["state"][:, 0] += 1.0
    assert not torch.equal(policy.predict(forgetful, seeded()).values[:, 0], wanted)


@needs_robomimic
@pytest.mark.parametrize("algorithm", ["hbc", "iris"])
def test_the_actor_goes_where_the_planner_says(algorithm: str) -> None:
    actor = policy_of(algorithm).eval().networks["actor"]["policy"]
    state = {"state": torch.zeros(1, 1, 3)}
    here, there = (actor(state, goal_dict={"state": torch.full((1, 3), x)}) for x in (-1.0, 1.0))
    assert not torch.equal(here, there)


@needs_robomimic
@pytest.mark.parametrize("algorithm", ["bcq", "td3_bc", "iql"])
def test_critics_learn_that_only_success_is_worth_something(algorithm: str) -> None:
    policy = config_of(algorithm).build(SPEC)
    batch = batch_of(policy)
    batch.obs["state"][::2] -= 2.0  # failures are elsewhere
    for step in range(60):
        policy.learn(batch, step)
    network = policy.eval().networks["policy"]["critic"][0]
    with torch.no_grad():
        value = network({"state": batch.obs["state"][:, 0]}, batch.action[:, 0])[:, 0]
    assert value[::2].abs().max() < 0.5 < value[1::2].min()


@needs_robomimic
def test_td3_bc_stays_near_the_demonstrations_where_its_critic_counts_little() -> None:
    rate = {"learning_rate": {"initial": 3e-3}}
    policy = policy_of("td3_bc", alpha=0.01, optim_params={"actor": rate}).eval()
    batch = batch_of(policy)

    def error() -> float:
        return float((policy.eval().predict(batch.obs, seeded()).values - batch.action).abs().mean())

    before = error()
    for step in range(100):
        policy.train().learn(batch, step)
    assert error() < 0.5 * before


@needs_robomimic
def test_cql_values_demonstrated_actions_above_others() -> None:
    policy = config_of("cql").build(SPEC).train()
    batch = batch_of(policy)
    for step in range(60):
        policy.learn(batch, step)
    critic, state = policy.eval().networks["policy"]["critic"][0], {"state": batch.obs["state"][:, 0]}
    other = torch.rand(64, 2, generator=seeded()) * 2 - 1
    with torch.no_grad():
        above = critic(state, batch.action[:, 0]) - critic(state, other)
    assert (above > 0).float().mean() > 0.9


@needs_robomimic
def test_values_look_ahead_and_end_with_the_episode() -> None:
    """Q(s) = γ V(s') before the end, whatever stands in s' at the end."""
    policy = policy_of("td3_bc", discount=0.5)
    batch = batch_of(policy)
    assert batch.outcome is not None
    batch.outcome.is_last[:] = False
    batch.obs["state"][:] = 1.0
    batch.outcome.obs["state"][:] = 1.0
    shown = policy._processed(batch)
    assert not shown["rewards"].any() and not shown["dones"].any()
    batch.outcome.is_last[:] = True
    shown = policy._processed(batch)
    assert shown["dones"].all()
    assert shown["rewards"][:, 0].tolist() == batch.outcome.success.tolist()


@needs_robomimic
def test_a_reward_is_counted_once_however_long_its_step_is_repeated() -> None:
    policy = RobomimicConfig("bcq", horizon=3, settings={"discount": 1.0}).build(SPEC)
    batch = batch_of(policy, 2)
    assert batch.outcome is not None
    batch.is_pad[:, 1:] = True
    assert policy._processed(batch)["rewards"].tolist() == [[0.0], [1.0]]


@needs_robomimic
def test_mixtures_are_judged_by_the_deviations_they_learned() -> None:
    policy = policy_of("bc", gmm={"enabled": True})
    batch = batch_of(policy)
    assert torch.equal(policy.train().loss(batch)["loss"], policy.eval().loss(batch)["loss"])
    assert policy.loss(batch)["loss"] < 10


@needs_robomimic
def test_rows_count_by_their_weight() -> None:
    rate = {"policy": {"learning_rate": {"initial": 3e-3}}}
    policy = policy_of("bc", actor_layer_dims=[64], optim_params=rate)
    batch = batch_of(policy)
    batch.action[:32], batch.action[32:] = -0.8, 0.8
    batch.weight[:32], batch.weight[32:] = 3.0, 1.0
    for step in range(100):
        torch.manual_seed(step)
        policy.learn(batch, step)
    mean = policy.eval().predict(batch.obs, seeded()).values.mean()
    assert -0.55 < mean < -0.25  # three quarters of -0.8, one of 0.8


@needs_robomimic
def test_target_networks_follow_and_stay_in_evaluation_mode() -> None:
    policy = policy_of("cql").train()
    targets = policy.networks["policy"]["critic_target"]
    before = [p.clone() for p in targets.parameters()]
    policy.learn(batch_of(policy), 0)
    assert not any(network.training for network in targets)
    for old, new in zip(before, targets.parameters(), strict=True):
        assert 0 < (old - new).abs().max() < 0.1


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight episodes of a controller that moves the point to 0, two of them judged failures."""
    path = tmp_path_factory.mktemp("data") / "line.zarr"
    store = DemoStore.create(path, LINE)
    for seed in range(8):
        env = LineConfig().build()
        seen, done = [env.reset(seed=seed)[0]], []
        for _ in range(20):
            done.append(np.clip(-2 * seen[-1]["position"], -1, 1).astype(np.float32))
            seen.append(env.step(done[-1])[0])
        obs = {key: np.stack([each[key] for each in seen[:-1]]) for key in LINE.obs}
        store.append(Episode(f"ep_{seed}", obs, np.stack(done), success=seed > 1, rate_hz=10.0))
    store.close()
    return path


def run_of(algorithm: str, demos: Path, steps: int) -> Run:
    train = TrainConfig(
        max_steps=steps, max_minutes=None, batch_size=16, device="cpu", validations=0, evaluations=0
    )
    return Run(config_of(algorithm), LineConfig(), DataConfig(str(demos)), AdamWConfig(), train)


@needs_robomimic
@pytest.mark.parametrize("algorithm", KINDS)
def test_each_algorithm_trains_on_a_store_and_rolls_out(algorithm: str, demos: Path, tmp_path: Path) -> None:
    result = start(run_of(algorithm, demos, 20), tmp_path / "run")
    assert all(np.isfinite(value) for value in result.metrics.values())
    policy = load_policy(tmp_path / "run").policy
    played = [rollout(policy, LineConfig(max_steps=3), [1, 2], workers=0) for _ in range(2)]
    assert [e.score for e in played[0].episodes] == [e.score for e in played[1].episodes]


@needs_robomimic
@pytest.mark.parametrize("algorithm", ["cql", "td3_bc", "iris"])
def test_resumed_training_equals_uninterrupted(algorithm: str, demos: Path, tmp_path: Path) -> None:
    start(run_of(algorithm, demos, 6), tmp_path / "whole")
    start(run_of(algorithm, demos, 3), tmp_path / "part")
    config = tmp_path / "part/config.json"
    settings = json.loads(config.read_text())
    settings["train"]["max_steps"] = 6
    config.write_text(json.dumps(settings))
    start(run_of(algorithm, demos, 6), tmp_path / "part", resume=True)
    whole, part = (read(tmp_path / name / LAST)[1] for name in ("whole", "part"))
    assert any(name.startswith("optim/") for name in whole)
    assert whole.keys() == part.keys()
    for name in whole:
        assert torch.equal(whole[name], part[name]), name


@needs_robomimic
def test_the_commands_know_it(demos: Path, tmp_path: Path) -> None:
    """As a person runs it, on an environment of our own."""
    out = tmp_path / "run"
    train = [
        "env=null", "policy=robomimic_bc_rnn", "++policy.settings.rnn.hidden_dim=16",
        "train.max_steps=5", "train.max_minutes=null", "train.device=cpu", "train.validations=1",
        f"data.path={demos}", f"out={out}",
    ]  # fmt: skip
    assert main(["train", *train]) == 0
    assert load_policy(out).info.policy["settings"]["rnn"]["hidden_dim"] == 16
