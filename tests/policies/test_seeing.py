"""A policy that acts on estimated states: what it is told, what it learns, and that labels are no inputs."""

import copy
import dataclasses
import importlib.util
from typing import Any

import pytest
import torch
from torch import Tensor

from imitate.checkpoint import describe, load_policy, save
from imitate.errors import ConfigError, SpecError
from imitate.history import PLAN
from imitate.normalize import ArrayStatistics
from imitate.policies.bc import BehaviourCloning, BehaviourCloningConfig
from imitate.policies.diffusion import DiffusionConfig
from imitate.policies.nets.film_mlp import FilmMlpConfig
from imitate.policies.nets.images import ImageConfig
from imitate.policies.nets.observation import ObservationConfig
from imitate.policies.nets.points import PointsConfig
from imitate.policies.seeing import Seeing, SeeingConfig
from imitate.policy import Horizons
from imitate.types import ArraySpec, Batch, DataSpec

SIDE = 32
STATE = ArraySpec((4,), names=("hand", "x", "y", "turn"), units=("px", "px", "px", "rad"), circular=(3,))
TEACHER_SPEC = DataSpec({"state": STATE}, ArraySpec((2,)))
SPEC = DataSpec(
    {"state": STATE, "hand": STATE.part((0,)), "camera": ArraySpec((SIDE, SIDE, 3), "uint8")}, ArraySpec((2,))
)
ACTING = BehaviourCloningConfig(Horizons(2, 4, 2), width=16, layers=1)
CONFIG = SeeingConfig(estimate=("state",), given=("hand",), width=32)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def teacher() -> BehaviourCloning:
    torch.manual_seed(3)
    policy = ACTING.build(TEACHER_SPEC)
    low, high = torch.zeros(4).double().numpy(), torch.tensor([SIDE, SIDE, SIDE, 7.0]).double().numpy()
    state = ArrayStatistics(low, high, (low + high) / 2, (high - low) / 4)
    ends = ArrayStatistics(low[:2] - 1, low[:2] + 1, low[:2], low[:2] + 0.5)
    policy.normalizer.fit({"state": state, "action": ends})
    return policy.eval()


def seeing(config: SeeingConfig = CONFIG, spec: DataSpec = SPEC) -> Seeing:
    torch.manual_seed(0)
    policy = config.completed(ACTING, TEACHER_SPEC).build(spec)
    policy.learn_from(teacher())
    return policy


def scenes(count: int, seed: int = 0) -> Batch:
    """A bright spot at (x, y) px, with a fainter one in the direction `turn`."""
    generator = seeded(seed)
    place = 8 + (SIDE - 16) * torch.rand(count, 2, generator=generator)
    turn = 2 * torch.pi * torch.rand(count, 1, generator=generator)
    hand = SIDE * torch.rand(count, 1, generator=generator)
    ahead = place + 6 * torch.cat([turn.cos(), turn.sin()], dim=1)
    image = torch.stack([spot(place), spot(ahead), torch.zeros(count, SIDE, SIDE)], dim=-1)
    state = torch.cat([hand, place, turn], dim=1)
    obs = {"state": state, "hand": hand, "camera": (255 * image).to(torch.uint8)}
    twice = {key: value[:, None].expand(-1, 2, *value.shape[1:]) for key, value in obs.items()}
    return Batch(twice, torch.zeros(count, 4, 2), torch.zeros(count, 4, dtype=torch.bool), torch.ones(count))


def spot(place: Tensor) -> Tensor:
    at = torch.arange(SIDE).float()
    x, y = at - place[:, :1], at - place[:, 1:]
    return torch.exp(-(x.square()[:, None, :] + y.square()[:, :, None]) / 8)


def test_what_is_estimated_is_not_observed_when_acting() -> None:
    policy, obs = seeing().eval(), scenes(3).obs
    assert list(policy.spec.obs) == ["hand", "camera"]
    seen = {key: obs[key] for key in policy.spec.obs}
    told = {**obs, "state": torch.full_like(obs["state"], 1e9)}
    chunk = policy.predict(seen, seeded()).values
    assert torch.equal(chunk, policy.predict(told, seeded()).values)
    other = {**seen, "camera": seen["camera"].flip(2)}
    assert not torch.equal(chunk, policy.predict(other, seeded()).values)


def test_it_does_what_the_teacher_does_where_states_are_as_estimated() -> None:
    policy, obs = seeing().eval(), scenes(5).obs
    estimates = policy.states(obs)
    assert estimates["state"].shape == obs["state"].shape
    assert ((estimates["state"][..., 3] >= 0) & (estimates["state"][..., 3] <= 2 * torch.pi)).all()
    expected = teacher().predict(estimates, seeded()).values
    assert torch.equal(policy.predict(obs, seeded()).values, expected)


def test_given_elements_are_taken_from_there_and_not_learnt() -> None:
    policy, batch = seeing().eval(), scenes(5)
    assert torch.equal(policy.states(batch.obs)["state"][..., 0], batch.obs["hand"][..., 0])
    state = batch.obs["state"].clone()
    state[..., 0] += 100
    moved = dataclasses.replace(batch, obs={**batch.obs, "state": state})
    assert torch.equal(policy.loss(moved)["loss"], policy.loss(batch)["loss"])
    assert not any("hand" in name for name in policy.loss(batch))
    state[..., 1] += 100
    assert policy.loss(moved)["loss"] > policy.loss(batch)["loss"]


def test_what_bears_the_same_name_by_chance_is_estimated() -> None:
    policy, obs = seeing(dataclasses.replace(CONFIG, given=())).eval(), scenes(5).obs
    assert policy.learnt.all()
    assert not torch.equal(policy.states(obs)["state"][..., 0], obs["hand"][..., 0])


def test_what_is_given_must_be_the_same_in_the_data() -> None:
    policy, batch = seeing(), scenes(5)
    assert policy.prepare([batch]) == []
    batch.obs["hand"] = batch.obs["hand"] + 0.5
    with pytest.raises(SpecError, match=r"its 'hand' is not that of 'state': .* by up to 0\.5"):
        policy.prepare([batch])


def test_observations_that_are_there_reach_the_teacher_as_they_are() -> None:
    both = DataSpec({"hand": STATE.part((0,)), "object": ArraySpec((2,))}, SPEC.action)
    config = SeeingConfig(estimate=("object",), width=8).completed(ACTING, both)
    spec = dataclasses.replace(both, obs={**both.obs, "camera": SPEC.obs["camera"]})
    policy, obs = config.build(spec).eval(), scenes(2).obs
    told = policy.states(obs)
    assert list(told) == ["hand", "object"]
    assert told["hand"] is obs["hand"] and told["object"].shape == (2, 2, 2)


def test_the_last_plan_reaches_a_teacher_that_begins_there() -> None:
    acting = DiffusionConfig(Horizons(2, 4, 2), denoiser=FilmMlpConfig(8, 1, 8), warm_start=0.4)
    policy, obs = CONFIG.completed(acting, TEACHER_SPEC).build(SPEC).eval(), scenes(2).obs
    assert policy.plan_steps == 2
    for weight in policy.acting.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    plans = [torch.full((2, 2, 2), value) for value in (-0.9, 0.9)]
    low, high = (policy.predict({**obs, PLAN: plan}, seeded()).values for plan in plans)
    assert not torch.equal(low, high)


def test_places_and_angles_are_learnt_from_pictures_and_the_teacher_stays() -> None:
    policy = seeing().train()
    before = copy.deepcopy(policy.acting.state_dict())
    optimizer = torch.optim.AdamW([p for p in policy.parameters() if p.requires_grad], lr=4e-3)
    steps = 250
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        optimizer.zero_grad()
        policy.loss(scenes(32, seed=step))["loss"].backward()
        optimizer.step()
        decay.step()
    found = policy.eval().loss(scenes(200, seed=10**6))
    # By chance a place is wrong by 5.3 px and an angle by a quarter of a turn.
    assert found["error/state.x [px]"] < 1 and found["error/state.y [px]"] < 1
    assert found["error/state.turn [rad]"] < 0.3
    assert all(torch.equal(value, before[name]) for name, value in policy.acting.state_dict().items())


def test_an_angle_is_wrong_by_the_shorter_way_round(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, batch = seeing().eval(), scenes(4)
    batch.obs["state"] = batch.obs["state"].clone()
    batch.obs["state"][..., 3] = 0.1
    off = policy.estimated({"state": batch.obs["state"] - torch.tensor([0.0, 0.0, 2.0, 0.2])})[:, -1:]
    monkeypatch.setattr(policy, "_says", lambda obs: off)
    found = policy.loss(batch)
    assert found["error/state.turn [rad]"] == pytest.approx(0.2, abs=1e-4)
    assert found["error/state.y [px]"] == pytest.approx(2.0, abs=1e-4)


def test_weights_of_rows_count() -> None:
    policy, batch = seeing().eval(), scenes(6)
    weight = torch.tensor([1.0, 0, 2, 0, 0, 0])
    rows = [{k: v[i : i + 1] for k, v in batch.obs.items()} for i in (0, 2)]
    alone = [policy.loss(Batch(r, batch.action[:1], batch.is_pad[:1], torch.ones(1)))["loss"] for r in rows]
    together = policy.loss(dataclasses.replace(batch, weight=weight))["loss"]
    torch.testing.assert_close(together, (alone[0] + 2 * alone[1]) / 3)


def test_a_checkpoint_acts_without_the_teacher_and_without_labels(tmp_path: Any) -> None:
    policy, obs = seeing().eval(), scenes(2).obs
    info = describe(
        policy.config, policy, None, data_hash="d" * 64, seeds={}, step=1, metrics={}, training={}
    )
    save(tmp_path / "p.safetensors", {f"ema/{k}": v for k, v in policy.state_dict().items()}, info)
    loaded = load_policy(tmp_path / "p.safetensors", changes={"acting": {"horizons": {"action_steps": 1}}})
    assert list(loaded.info.spec.obs) == ["hand", "camera"] and loaded.info.horizons.action_steps == 1
    chunk = loaded.policy.predict({key: obs[key] for key in ("hand", "camera")}, seeded()).values
    assert torch.equal(chunk, policy.predict(obs, seeded()).values[:, :1])


@pytest.mark.parametrize(
    ("settings", "spec", "message"),
    [
        ({"estimate": ()}, SPEC, r"policy\.estimate names no observation.* of state"),
        ({"estimate": ("stat",)}, SPEC, r"policy\.estimate names 'stat' \(did you mean 'state'\?\)"),
        ({"width": 0}, SPEC, r"policy\.width is 0"),
        ({"acting": None}, SPEC, r"policy\.acting is null: .* policy\.teacher=RUN"),
        (
            {"acting_spec": DataSpec({**TEACHER_SPEC.obs, "force": ArraySpec((1,))}, SPEC.action)},
            SPEC,
            r"policy\.teacher sees 'force', which is not used here: add it to data\.obs",
        ),
        (
            {"acting_spec": SPEC, "estimate": ("camera",)},
            SPEC,
            r"policy\.estimate names 'camera', a camera",
        ),
        ({}, TEACHER_SPEC, "at least one observation"),
        ({"given": ("hands",)}, SPEC, r"policy\.given names 'hands' \(did you mean 'hand'\?\)"),
        (
            {"given": ("camera",)},
            SPEC,
            r"policy\.given names 'camera' of elements \[\], none of which 'state'",
        ),
        (
            {},
            DataSpec({**SPEC.obs, "hand": STATE}, SPEC.action),
            r"policy\.estimate names state, every element of which .*: nothing is left to estimate",
        ),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, Any], spec: DataSpec, message: str) -> None:
    with pytest.raises((ConfigError, SpecError), match=message):
        dataclasses.replace(CONFIG.completed(ACTING, TEACHER_SPEC), **settings).build(spec)


def test_labels_must_be_in_the_data_and_mean_the_same() -> None:
    config = CONFIG.completed(ACTING, TEACHER_SPEC)
    unlabelled = SPEC.select(("hand", "camera"))
    with pytest.raises(SpecError, match=r"the data for policy\.teacher=.* 'state' is missing"):
        config.build(unlabelled).learn_from(teacher())
    metres = dataclasses.replace(STATE, units=("m", "m", "m", "rad"))
    with pytest.raises(SpecError, match=r"'state': units are \['m', 'm', 'm', 'rad'\]"):
        config.build(dataclasses.replace(SPEC, obs={**SPEC.obs, "state": metres})).learn_from(teacher())


def test_points_of_the_teacher_cannot_be_estimated() -> None:
    cloud = DataSpec({"cloud": ArraySpec((5, 3)), "hand": STATE.part((0,))}, SPEC.action)
    acting = dataclasses.replace(ACTING, observation=ObservationConfig(points=PointsConfig(("cloud",))))
    config = SeeingConfig(estimate=("cloud",), width=8).completed(acting, cloud)
    with pytest.raises(SpecError, match=r"policy\.estimate names 'cloud', which .* as a set of points"):
        config.build(cloud).learn_from(acting.build(cloud))


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed")
def test_the_estimator_may_be_any_network_of_images() -> None:
    image = ImageConfig("vit_tiny", crop=1.0)
    config = dataclasses.replace(CONFIG, observation=ObservationConfig(image=image))
    assert seeing(config).loss(scenes(2))["loss"].isfinite()
