"""The averaged weights follow Diffusion Policy's schedule."""

import importlib.util

import torch

from imitate.policies.nets.torchvision_import import import_torchvision
from imitate.training.ema import Ema


def test_average_equals_diffusers(trial) -> None:
    if importlib.util.find_spec("torchvision"):
        import_torchvision("robomimic")  # diffusers imports it where it is installed
    from diffusers.training_utils import EMAModel

    policy = trial().learner.policy
    ours = Ema(policy, power=0.75, max_decay=0.9)
    theirs = EMAModel(policy.parameters(), decay=0.9, use_ema_warmup=True, power=0.75)
    for step in range(40):
        with torch.no_grad():
            for parameter in policy.parameters():
                parameter += torch.randn_like(parameter)
        ours.update(step)
        theirs.step(policy.parameters())
    for a, b in zip(ours.averaged().parameters(), theirs.shadow_params, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_first_update_takes_the_weights_and_later_ones_keep_most(trial) -> None:
    ema = Ema(trial().learner.policy, power=0.75, max_decay=0.9999)
    assert ema.decay(0) == 0.0
    assert 0.999 < ema.decay(10_000) < 0.9999
    assert ema.decay(10**9) == 0.9999


def test_buffers_are_taken_over_and_nothing_is_trained(trial) -> None:
    policy = trial().learner.policy
    ema = Ema(policy, power=0.75, max_decay=0.9999)
    policy.normalizer.action.scale.fill_(7.0)
    averaged = ema.averaged()
    assert (averaged.normalizer.action.scale == 7.0).all()
    assert not averaged.training
    assert not any(parameter.requires_grad for parameter in averaged.parameters())
