"""Choosing by a trained policy and its rollouts, where it is known who leads away from the goal."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from line_env import SPEC, LineConfig

from imitate import checkpoint
from imitate.checkpoint import BEST, checkpoint_hash, describe
from imitate.cli.main import main
from imitate.curation.by_rollouts import Experience, Worth, worth
from imitate.curation.compatibility import Compatibility, Thresholds
from imitate.curation.measurement import MeasuredEpisode, Measurement
from imitate.curation.selection import costs, keep_list
from imitate.datasets.quality.frames import Frames
from imitate.datasets.store import DemoStore
from imitate.errors import ConfigError, DataError, SpecError
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policies.consistency import ConsistencyConfig
from imitate.policy import Horizons, PolicyConfig
from imitate.progress import SILENT
from imitate.types import ArraySpec, Batch, DataSpec, Episode

BAD = np.arange(16) % 4 == 3
ENV = LineConfig(max_steps=10)
HORIZONS = Horizons(1, 1, 1)
CONFIG = BehaviourCloningConfig(horizons=HORIZONS, width=16, layers=1)


def demonstration(seed: int, bad: bool) -> Episode:
    """Towards the goal, or slowly away from it; in metres, from one side."""
    rng = np.random.default_rng(seed)
    x, before = rng.uniform(0.4, 1.0), np.zeros(2)
    positions, velocities, actions = [], [], []
    for _ in range(10):
        action = np.clip((0.5 if bad else -2.0 * x) + 0.05 * rng.standard_normal(), -1, 1)
        positions.append([x])
        velocities.append(before)
        actions.append([action])
        x, before = x + 0.1 * action, np.array([action, before[0]])
    obs = {"position": np.array(positions, np.float32), "velocity": np.array(velocities, np.float32)}
    return Episode(f"{seed}", obs, np.array(actions, np.float32), rate_hz=10.0)


def save(folder: Path, config: PolicyConfig, store: DemoStore, steps: int = 0) -> Path:
    """A run folder with a policy that took some steps on all of `store`."""
    torch.manual_seed(0)
    policy = config.build(SPEC)
    obs = {key: torch.from_numpy(store.array(key)[:])[:, None] for key in SPEC.obs}
    action = torch.from_numpy(store.array("action")[:])[:, None]
    batch = Batch(obs, action, torch.zeros(len(action), 1, dtype=torch.bool), torch.ones(len(action)))
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        policy.loss(batch)["loss"].backward()
        optimizer.step()
    about = {"data_hash": store.content_hash(), "seeds": {}, "step": steps, "metrics": {}, "training": {}}
    folder.mkdir()
    info = describe(config, policy, ENV, **about)
    checkpoint.save(folder / BEST, {f"ema/{name}": t for name, t in policy.state_dict().items()}, info)
    return folder


def lightly_measured(store: DemoStore) -> Measurement:
    """What choosing asks of a measurement, without the seconds that the rest takes."""
    frames = Frames.of(
        [one.obs["position"] for one in store.episodes()], [one.action for one in store.episodes()]
    )
    episodes = [MeasuredEpisode(store.record(i), {}, {}, None) for i in range(len(store))]
    nothing: dict = {"arrays": {}, "ranges": {}, "steps_scores": {}, "near_duplicates": [], "agreement": None}
    places = {"starts": frames.starts, "action_jerk": np.empty(0), "projection": np.empty((0, 2))}
    return Measurement(SPEC, episodes, frames=frames, compared=list(range(len(store))), **places, **nothing)


@dataclass(frozen=True)
class Made:
    """Demonstrations of which some are bad, a run that learnt from all, and rollouts that fail like those."""

    store: DemoStore
    run: Path
    rollouts: Path
    measured: Measurement

    @property
    def folder(self) -> Path:
        return self.run.parent

    def worth(self, method: str, *given: str, chosen: list[int] | None = None) -> Worth:
        values = {"checkpoint": str(self.run), "rollouts": str(self.rollouts)}
        experience = Experience(**{key: values[key] for key in given})
        return worth(method, self.store, list(range(16)) if chosen is None else chosen, experience)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    store = DemoStore.create(folder / "demos.zarr", SPEC)
    for seed, bad in enumerate(BAD):
        store.append(demonstration(seed, bool(bad)))
    run = save(folder / "run", CONFIG, store, 300)
    about = {"checkpoint_hash": checkpoint_hash(run)}
    rollouts = DemoStore.create(folder / "rollouts.zarr", SPEC, metadata=about)
    for seed in range(60_000, 60_024):
        bad = seed % 2 == 0
        rollouts.append(dataclasses.replace(demonstration(seed, bad), success=not bad))
    return Made(store, run, rollouts.path, lightly_measured(store))


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A classifier that hardly learns, where it does not matter what it says."""
    monkeypatch.setattr("imitate.curation.success_classifier.STEPS", 20)


def auroc(cost: np.ndarray) -> float:
    return float(np.mean(cost[BAD][:, None] > cost[~BAD][None]))


def test_the_policy_fits_the_few_bad_demonstrations_worst(made: Made) -> None:
    found = made.worth("policy_divergence", "checkpoint")
    assert auroc(found.cost) == 1.0
    assert found.bound is None


def test_bad_demonstrations_do_not_look_like_rollouts_that_succeed(made: Made) -> None:
    found = made.worth("demo_score", "rollouts")
    assert auroc(found.cost) == 1.0
    entries = keep_list(made.measured, "demo_score", None, 0, found)
    kept = np.array([entry["keep"] for entry in entries])
    assert kept.tolist() == (~BAD).tolist()
    assert {tuple(entry["reasons"]) for entry in entries if not entry["keep"]} == {
        ("less promising than the average rollout",)
    }


def test_bad_demonstrations_did_harm(made: Made) -> None:
    found = made.worth("influence", "checkpoint", "rollouts")
    assert auroc(found.cost) > 0.9
    assert found.cost[BAD].mean() > 0 > found.cost[~BAD].mean()


def test_compatibility_is_the_mean_over_the_steps_of_what_was_compared(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = np.array([2, 3, 2])
    frames = Frames(np.ones((7, 1), np.float32), np.ones((7, 1), np.float32), lengths)
    agreement = np.array([0.2, 0.4, 1.0, 1.0, 0.4, 0.6, 0.8], np.float32)
    said = Compatibility(agreement, agreement, agreement, Thresholds(1.0, 1.0))
    monkeypatch.setattr("imitate.curation.selection.compatibility", lambda given, seed: said)
    measured = dataclasses.replace(made.measured, frames=frames, compared=[1, 4, 9])
    found = costs(measured, "compatibility", 0)
    assert found[[1, 4, 9]] == pytest.approx([-0.3, -0.8, -0.7])
    assert np.isneginf(np.delete(found, [1, 4, 9])).all()  # what cannot be told goes last
    with pytest.raises(DataError, match="too little to compare"):
        costs(dataclasses.replace(measured, frames=None), "compatibility", 0)


@pytest.mark.parametrize("method", ["policy_divergence", "demo_score", "influence"])
@pytest.mark.usefixtures("hasty")
def test_a_share_is_kept_in_the_order_of_cost(method: str, made: Made) -> None:
    given = {"policy_divergence": ["checkpoint"], "demo_score": ["rollouts"]}
    found = made.worth(method, *given.get(method, ["checkpoint", "rollouts"]))
    entries = keep_list(made.measured, method, 0.5, 0, found)
    kept = np.array([entry["keep"] for entry in entries])
    assert kept.sum() == 8
    assert found.cost[kept].max() <= found.cost[~kept].min()
    assert entries[int(np.argmax(found.cost))]["reasons"] == [f"rank 16 of 16 by {method}"]


@pytest.mark.parametrize("method", ["policy_divergence", "demo_score"])
@pytest.mark.usefixtures("hasty")
def test_episodes_that_are_not_chosen_are_not_judged(method: str, made: Made) -> None:
    given = "checkpoint" if method == "policy_divergence" else "rollouts"
    all_of_them = made.worth(method, given).cost
    some = made.worth(method, given, chosen=[2, 5]).cost
    assert np.isfinite(some).tolist() == [i in (2, 5) for i in range(16)]
    assert some[[2, 5]] == pytest.approx(all_of_them[[2, 5]], rel=1e-5)


def test_failed_demonstrations_are_out_whatever_the_policy_says(made: Made) -> None:
    failed = dataclasses.replace(made.measured.episodes[0].record, success=False)
    first = dataclasses.replace(made.measured.episodes[0], record=failed)
    measured = dataclasses.replace(made.measured, episodes=[first, *made.measured.episodes[1:]])
    liked = Worth(np.arange(16.0), 7.0, "beyond")
    for keep in (None, 0.5):
        entries = keep_list(measured, "demo_score", keep, 0, liked)
        assert entries[0]["reasons"] == ["failed demonstration"]
        assert [entry["keep"] for entry in entries[:9]] == [False, *[True] * 7, keep == 0.5]


def test_nothing_to_keep_is_said(made: Made) -> None:
    with pytest.raises(DataError, match="every demonstration is worse: say with keep="):
        keep_list(made.measured, "demo_score", None, 0, Worth(np.ones(16), 0.0, "worse"))


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        ("policy_divergence", [], "checkpoint is null.*imitate train … data.path="),
        ("influence", ["rollouts"], "checkpoint is null"),
        ("influence", ["checkpoint"], r"rollouts is null.*imitate rollout .*record=rollouts.zarr"),
        ("demo_score", [], "rollouts is null"),
        ("demo_score", ["checkpoint", "rollouts"], "method=demo_score does not use it"),
    ],
)
def test_what_is_missing_or_too_much_is_named(method: str, given: list, message: str, made: Made) -> None:
    with pytest.raises(ConfigError, match=message):
        made.worth(method, *given)


def test_influence_asks_for_the_policy_s_own_data_and_rollouts(made: Made, tmp_path: Path) -> None:
    other = DemoStore.create(tmp_path / "other.zarr", SPEC)
    other.append(demonstration(99, False))
    with pytest.raises(DataError, match=r"was not trained on .*other\.zarr"):
        worth("influence", other, [0], Experience(str(made.run), str(made.rollouts)))
    fresh = save(tmp_path / "fresh", CONFIG, made.store)
    with pytest.raises(DataError, match="rollouts of another checkpoint"):
        worth("influence", made.store, [0], Experience(str(fresh), str(made.rollouts)))


def test_what_does_not_belong_together_is_told_before_anything_is_measured(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(*_: object) -> None:
        raise AssertionError("measured first")

    monkeypatch.setattr("imitate.cli.curate.measure", measured)
    fresh = save(tmp_path / "fresh", CONFIG, made.store)
    keys = ["curate", f"data.path={made.store.path}", f"out={tmp_path / 'keep.json'}", "keep=0.5"]
    assert main([*keys, "method=influence", f"checkpoint={fresh}", f"rollouts={made.rollouts}"]) == 2
    assert "rollouts of another checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("by_rollouts.MAX_WEIGHTS", 50, r"has \d+ weights, and 50 are the most; train a smaller policy"),
        ("influence.MAX_WEIGHTS", 10, r"only \d+ of its \d+ weights are left"),
    ],
)
def test_influence_is_for_small_policies(
    limit: str, value: int, message: str, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"imitate.curation.{limit}", value)
    with pytest.raises(ConfigError, match=message):
        made.worth("influence", "checkpoint", "rollouts")


def test_a_policy_without_a_loss_of_its_own_is_refused(made: Made, tmp_path: Path) -> None:
    run = save(tmp_path / "taught", ConsistencyConfig(teacher="runs/teacher"), made.store)
    with pytest.raises(ConfigError, match="give the checkpoint of its teacher"):
        worth("policy_divergence", made.store, [0], Experience(str(run)))


def test_rollouts_that_nobody_judged_are_refused(made: Made, tmp_path: Path) -> None:
    store = DemoStore.create(tmp_path / "r.zarr", SPEC)
    store.append(demonstration(0, False))
    with pytest.raises(DataError, match="nobody judged whether episode '0'"):
        worth("demo_score", made.store, [0], Experience(rollouts=str(store.path)))


@pytest.mark.parametrize(("name", "shape"), [("position", (2,)), ("force", (1,))])
def test_rollouts_of_another_robot_are_refused(name: str, shape: tuple, made: Made, tmp_path: Path) -> None:
    spec = dataclasses.replace(SPEC, obs={name: ArraySpec(shape)})
    store = DemoStore.create(tmp_path / "r.zarr", spec)
    action = np.zeros((3, 1), np.float32)
    store.append(Episode("a", {name: np.zeros((3, *shape), np.float32)}, action, success=True))
    with pytest.raises((SpecError, DataError), match=r"position.*shape is|no states in common"):
        worth("demo_score", made.store, [0], Experience(rollouts=str(store.path)))


@pytest.mark.usefixtures("hasty")
def test_a_foreign_file_may_hold_more_and_know_less(tmp_path: Path) -> None:
    """An angle is an angle, though only the environment says so: both turns look the same."""
    known = DataSpec({"turn": ArraySpec((1,), circular=(0,))}, ArraySpec((1,)))
    bare = DataSpec({"turn": ArraySpec((1,)), "more": ArraySpec((2,))}, ArraySpec((1,)))
    action, extra = np.zeros((2, 1), np.float32), np.zeros((2, 2), np.float32)
    rollouts, demos = (
        DemoStore.create(tmp_path / name, spec) for name, spec in (("r.zarr", known), ("d.zarr", bare))
    )
    for i, turn in enumerate([0.1, 0.2, 3.1, 3.2]):
        shown = {"turn": np.full((2, 1), turn, np.float32)}
        rollouts.append(Episode(f"{i}", shown, action, success=i < 2))
    for i, turn in enumerate([0.0, 2 * np.pi]):
        demos.append(Episode(f"{i}", {"turn": np.full((2, 1), turn, np.float32), "more": extra}, action))
    found = worth("demo_score", demos, [0, 1], Experience(rollouts=str(rollouts.path))).cost
    assert found[0] == pytest.approx(found[1], abs=1e-5)


@pytest.mark.usefixtures("hasty")
def test_outcomes_that_states_do_not_tell_are_pointed_out(made: Made, tmp_path: Path) -> None:
    store = DemoStore.create(tmp_path / "r.zarr", SPEC)
    rng, said = np.random.default_rng(0), []
    for i in range(8):
        obs = {key: rng.normal(size=(8, *one.shape)).astype(np.float32) for key, one in SPEC.obs.items()}
        store.append(Episode(f"{i}", obs, np.zeros((8, 1), np.float32), success=i % 2 == 0))

    class Listening(type(SILENT)):  # type: ignore[misc]
        def say(self, text: str) -> None:
            said.append(text)

    worth("demo_score", made.store, [0, 1], Experience(rollouts=str(store.path)), progress=Listening())
    assert len(said) == 1 and "hardly tell" in said[0]


@pytest.mark.slow
def test_the_verb_writes_a_keep_list(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "keep.json"
    keys = ["curate", f"data.path={made.store.path}", f"out={out}"]
    assert main([*keys, "method=demo_score", f"rollouts={made.rollouts}"]) == 0
    written = json.loads(out.read_text())
    assert written["made_by"]["rollouts"] == str(made.rollouts)
    assert [entry["keep"] for entry in written["episodes"]] == (~BAD).tolist()
    assert (
        main([*keys, "method=influence", "keep=0.75", f"checkpoint={made.run}", f"rollouts={made.rollouts}"])
        == 0
    )
    written = json.loads(out.read_text())
    assert [entry["keep"] for entry in written["episodes"]] == (~BAD).tolist()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["method=influence", "keep=0.5", "checkpoint=run"], "record=rollouts.zarr"),
        (["method=policy_divergence", "keep=0.5"], "checkpoint is null"),
        (["method=policy_divergence", "checkpoint=run"], "keep is None"),
        (["method=quality", "keep=0.5", "rollouts=r"], "method=quality does not use it"),
        (["method=demo_scores"], "did you mean 'demo_score'"),
    ],
)
def test_the_verb_names_what_is_missing_in_one_line(
    keys: list, message: str, made: Made, tmp_path: Path, capsys
) -> None:
    out = tmp_path / "keep.json"
    assert main(["curate", f"data.path={made.store.path}", f"out={out}", *keys]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error
    assert not out.exists()
