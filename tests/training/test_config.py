"""Settings refuse what cannot be trained with, and progress runs from 0 to 1."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from imitate.errors import ConfigError
from imitate.training.config import TrainConfig, multiplies_bf16


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_minutes": None}, "both null"),
        ({"max_steps": 0}, r"train\.max_steps is 0, expected at least 1"),
        ({"max_minutes": 0.0}, r"train\.max_minutes is 0\.0, expected more than 0"),
        ({"batch_size": 0}, r"train\.batch_size"),
        ({"ema_max_decay": 1.0}, r"train\.ema_max_decay is 1\.0, expected in \[0, 1\)"),
        ({"device": "gpu"}, r"train\.device is 'gpu', expected auto, cpu, cuda or cuda:N"),
        ({"device": "cuda:99"}, r"train\.device is 'cuda:99', but there are \d+ CUDA devices"),
        ({"evaluations": -1}, r"train\.evaluations is -1"),
    ],
)
def test_impossible_settings_name_the_key(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainConfig(**settings)


@given(
    max_steps=st.none() | st.integers(1, 1000),
    max_minutes=st.none() | st.floats(0.01, 100),
    steps=st.lists(st.integers(0, 2000), min_size=2, max_size=2),
    seconds=st.lists(st.floats(0, 10_000), min_size=2, max_size=2),
)
def test_progress_rises_to_one_at_the_first_limit(
    max_steps: int | None, max_minutes: float | None, steps: list[int], seconds: list[float]
) -> None:
    if max_steps is None and max_minutes is None:
        return
    config = TrainConfig(max_steps=max_steps, max_minutes=max_minutes)
    before, after = (config.progress(*point) for point in zip(sorted(steps), sorted(seconds), strict=True))
    assert 0 <= before <= after <= 1
    reached = (max_steps is not None and max(steps) >= max_steps) or (
        max_minutes is not None and max(seconds) >= 60 * max_minutes
    )
    assert reached == (after == 1) or after > 1 - 1e-9


def test_auto_precision_is_what_the_hardware_multiplies() -> None:
    cpu = torch.device("cpu")
    expected = torch.bfloat16 if multiplies_bf16(cpu) else torch.float32
    assert TrainConfig(device="cpu").autocast_dtype() == expected
    assert TrainConfig(device="cpu", precision="bf16").autocast_dtype() == torch.bfloat16
    assert TrainConfig(device="cpu", precision="fp32").autocast_dtype() == torch.float32
