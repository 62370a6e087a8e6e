"""Consistency distillation: no noise, no change; and a student ends where the way of its teacher does."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from imitate.checkpoint import describe, load_policy, save
from imitate.errors import ConfigError, SpecError
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policies.consistency import Consistency, ConsistencyConfig, pseudo_huber
from imitate.policies.diffusion import Diffusion
from imitate.policies.nets.denoiser import Denoiser, DenoiserConfig, Sizes
from imitate.policies.nets.film_mlp import FilmMlpConfig
from imitate.policies.nets.observation import ObservationConfig
from imitate.policies.nets.trajectory import Trajectory
from imitate.policy import Horizons
from imitate.types import ArraySpec, Batch, DataSpec

SPEC = DataSpec({"state": ArraySpec((3,))}, ArraySpec((2,)))
HORIZONS = Horizons(1, 4, 4)
TINY = ConsistencyConfig(horizons=HORIZONS, denoiser=FilmMlpConfig(16, 1, 8), levels=5)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_of(count: int, spread: float = 1.0) -> Batch:
    """Chunks of independent N(0.3, spread²) values."""
    action = 0.3 + spread * torch.randn(count, 4, 2, generator=seeded(1))
    obs = {"state": torch.randn(count, 1, 3, generator=seeded(2))}
    return Batch(obs, action, torch.zeros(count, 4, dtype=torch.bool), torch.ones(count))


def teacher_of(config: ConsistencyConfig, seed: int = 3) -> Diffusion:
    """One whose weights are all random, to tell a student's weights from fresh ones."""
    torch.manual_seed(seed)
    teacher = config.diffusion().build(SPEC)
    for weight in teacher.denoiser.parameters():
        nn.init.normal_(weight, std=0.3)
    return teacher.eval()


def taught(config: ConsistencyConfig = TINY) -> Consistency:
    torch.manual_seed(0)
    student = config.build(SPEC)
    student.learn_from(teacher_of(config))
    return student


@dataclass(frozen=True)
class LinearConfig(DenoiserConfig):
    """A denoiser that at each level is a linear map of the noisy chunk."""

    def build(self, sizes: Sizes) -> "LinearDenoiser":
        return LinearDenoiser(sizes)


class LinearDenoiser(Denoiser):
    learning_rate = 1e-2

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(sizes.train_steps, 1, 1))
        self.bias = nn.Parameter(torch.zeros(sizes.train_steps, 1, 1))

    def encode(self, obs: Tensor) -> Tensor:
        return obs

    def forward(self, noisy: Tensor, step: Tensor, condition: Tensor) -> Tensor:
        return self.gain[step] * noisy + self.bias[step]


LINEAR = ConsistencyConfig(
    horizons=HORIZONS, denoiser=LinearConfig(), train_steps=20, clip_sample=False, levels=4
)


def linear_teacher(mean: float, std: float) -> Diffusion:
    """The best denoiser for chunks of independent N(mean, std²) values."""
    teacher = LINEAR.diffusion().build(SPEC)
    assert isinstance(teacher.denoiser, LinearDenoiser)
    with torch.no_grad():
        for step in range(20):
            signal, sigma = teacher.noise.scales(step)
            gain = signal * std**2 / (signal**2 * std**2 + sigma**2)
            teacher.denoiser.gain[step], teacher.denoiser.bias[step] = gain, (1 - gain * signal) * mean
    return teacher


def ddim(teacher: Diffusion, steps: int) -> Callable[[Tensor], Tensor]:
    """Where the teacher's own sampler of so many steps leads from pure noise."""
    config = replace(teacher.config, inference_steps=steps)
    sampler = config.build(SPEC)
    sampler.load_state_dict(teacher.state_dict())
    return lambda state: sampler.predict({"state": state}, seeded()).values


@pytest.mark.parametrize("prediction", ["sample", "v_prediction"])
def test_without_noise_f_is_the_identity_exactly(prediction: Any) -> None:
    student = taught(replace(TINY, prediction=prediction))
    chunk, seen = torch.randn(6, 4, 2), torch.randn(6, 1, 3)
    clean = torch.zeros(6, dtype=torch.int64)
    condition = student.denoiser.encode(seen)
    assert torch.equal(student._end(student.denoiser, chunk, clean, condition), chunk)
    assert not torch.allclose(student._end(student.denoiser, chunk, clean + 1, condition), chunk)


@pytest.mark.parametrize("levels", [1, 4, 20])
def test_the_way_through_all_levels_is_the_teachers_sampler(levels: int) -> None:
    teacher = linear_teacher(0.3, 0.5)
    trajectory = Trajectory(teacher.noise, levels)
    noise = torch.randn(5, 4, 2, generator=seeded())
    level = torch.full((5,), levels)
    x = trajectory.noised(torch.zeros(5, 4, 2), noise, level)
    # Samplers begin with noise of deviation 1, where the highest level has a little less.
    torch.testing.assert_close(x, noise, atol=2e-3, rtol=0)
    x = noise
    for j in range(levels, 0, -1):
        level = torch.full((5,), j)
        x = trajectory.next(x, teacher.denoiser(x, trajectory.step[level], x), level)
    torch.testing.assert_close(x, ddim(teacher, levels)(torch.zeros(5, 1, 3)), atol=1e-4, rtol=1e-4)


def test_one_step_ends_where_all_steps_of_a_linear_teacher_do() -> None:
    torch.manual_seed(0)
    teacher = linear_teacher(0.3, 0.5)
    student = LINEAR.build(SPEC)
    student.learn_from(teacher)
    state = torch.zeros(200, 1, 3)
    wanted = ddim(teacher, LINEAR.levels)(state)

    def error() -> float:
        return (student.predict({"state": state}, seeded()).values - wanted).abs().mean().item()

    before = error()  # one step of the teacher: the mean, whatever the noise
    assert before > 0.1
    steps = 600
    optimizer = torch.optim.Adam(student.parameters(), lr=0.02)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        student.loss(batch_of(64, 0.5))["loss"].backward()
        optimizer.step()
        decay.step()
    assert error() < 0.1 * before


def test_the_student_begins_as_its_teacher() -> None:
    student, teacher = taught(), teacher_of(TINY)
    for mine in (student.denoiser, student.target.network):
        assert all(torch.equal(w, mine.state_dict()[n]) for n, w in teacher.denoiser.state_dict().items())
    assert not any(name.startswith("_teacher") for name in student.state_dict())


def test_the_target_follows_in_training_alone() -> None:
    student = taught()
    before = copy.deepcopy(student.target.network.state_dict())
    with torch.no_grad():
        for weight in student.denoiser.parameters():
            weight += 1.0
    student.eval().loss(batch_of(4))
    assert all(torch.equal(w, before[n]) for n, w in student.target.network.state_dict().items())
    student.train().loss(batch_of(4))
    for name, weight in student.target.network.state_dict().items():
        torch.testing.assert_close(weight, before[name] + 0.05, atol=1e-6, rtol=0)
    assert not any(module.training for module in student.target.modules())


def test_padding_and_weight_zero_count_for_nothing() -> None:
    error, is_pad = torch.randn(3, 4, 2), torch.zeros(3, 4, dtype=torch.bool)
    is_pad[0, 2:] = True
    far = error.clone()
    far[0, 2:] += 100
    assert torch.equal(pseudo_huber(error, is_pad), pseudo_huber(far, is_pad))
    expected = error[0, :2].square().mean().sqrt()
    torch.testing.assert_close(pseudo_huber(error, is_pad)[0], expected, atol=1e-3, rtol=0)
    assert pseudo_huber(torch.zeros(1, 4, 2), is_pad[:1]).item() == 0


@pytest.mark.parametrize("steps", [1, 3])
def test_each_step_is_one_call(steps: int) -> None:
    student = taught(replace(TINY, inference_steps=steps)).eval()
    asked: list[int] = []
    student.denoiser.register_forward_hook(lambda _, inputs, __: asked.append(int(inputs[1])))
    student.predict({"state": torch.zeros(2, 1, 3)}, seeded())
    assert asked == {1: [99], 3: [99, 79, 39]}[steps]


def test_the_checkpoint_acts_without_the_teacher(tmp_path: Path) -> None:
    config = replace(TINY, teacher=str(tmp_path / "gone"))
    student = taught(config).eval()
    tensors = {f"ema/{name}": value for name, value in student.state_dict().items()}
    info = describe(config, student, None, data_hash="", seeds={}, step=1, metrics={}, training={})
    save(tmp_path / "student.safetensors", tensors, info)
    loaded = load_policy(tmp_path / "student.safetensors").policy
    obs = {"state": torch.randn(2, 1, 3)}
    assert torch.equal(loaded.predict(obs, seeded()).values, student.predict(obs, seeded()).values)


def test_a_teacher_that_changed_since_is_refused() -> None:
    student, stored = taught(), taught().state_dict()
    student.load_state_dict(stored)
    other = TINY.build(SPEC)
    other.learn_from(teacher_of(TINY, seed=4))
    with pytest.raises(ConfigError, match="has changed since this run began"):
        other.load_state_dict(stored)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"denoiser": FilmMlpConfig(24, 1, 8)}, r"policy\.denoiser\.width is 16, but the teacher's is 24"),
        ({"denoiser": LinearConfig()}, r"policy\.denoiser is FilmMlpConfig, .* is LinearConfig"),
        ({"horizons": Horizons(1, 5, 4)}, r"policy\.horizons\.pred_steps is 4, .* is 5"),
        ({"observation": ObservationConfig("gaussian")}, r"policy\.observation\.normalization is 'minmax'"),
        ({"prediction": "v_prediction"}, r"policy\.prediction is 'sample'"),
        ({"train_steps": 50}, r"policy\.train_steps is 100, but the teacher's is 50"),
    ],
)
def test_a_teacher_of_other_settings_is_refused(settings: dict[str, Any], message: str) -> None:
    teacher = replace(TINY.diffusion(), **settings).build(SPEC)
    with pytest.raises(ConfigError, match=message):
        TINY.build(SPEC).learn_from(teacher)


def test_settings_of_sampling_and_regularisation_may_differ() -> None:
    config = replace(
        TINY.diffusion(),
        inference_steps=10,
        sampler="dpm_solver",
        denoiser=FilmMlpConfig(16, 1, 8, dropout=0.5),
        observation=ObservationConfig(noise=0.1),
        horizons=Horizons(1, 4, 2),
    )
    TINY.build(SPEC).learn_from(config.build(SPEC))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            DataSpec({"other": ArraySpec((3,))}, SPEC.action),
            r"sees \['other'\], but the data has \['state'\]",
        ),
        (DataSpec({"state": ArraySpec((4,))}, SPEC.action), r"'state'.*\(4,\)"),
        (DataSpec(SPEC.obs, ArraySpec((3,))), r"action.*\(3,\)"),
    ],
)
def test_a_teacher_of_other_data_is_refused(spec: DataSpec, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        TINY.build(SPEC).learn_from(TINY.diffusion().build(spec))


def test_a_teacher_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"is a BehaviourCloning, expected a run of policy=diffusion"):
        TINY.build(SPEC).learn_from(BehaviourCloningConfig(HORIZONS).build(SPEC))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prediction": "epsilon"}, r"policy\.prediction is 'epsilon'"),
        ({"levels": 101}, r"policy\.levels is 101, expected 1 to policy\.train_steps = 100"),
        ({"inference_steps": 6}, r"policy\.inference_steps is 6, expected 1 to policy\.levels = 5"),
        ({"target_decay": 1.0}, r"policy\.target_decay is 1\.0"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(TINY, **settings)
