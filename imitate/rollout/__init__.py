"""Rollouts: a policy drives many copies of an environment, and every episode can be repeated bitwise."""

from imitate.rollout.host import EnvFacts, EpisodeResult, FrameWriter, Recorder
from imitate.rollout.lockstep import Player, Rollout, RolloutConfig, Timing, rollout
from imitate.rollout.recording import Recording, recording

__all__ = [
    "EnvFacts",
    "EpisodeResult",
    "FrameWriter",
    "Player",
    "Recorder",
    "Recording",
    "Rollout",
    "RolloutConfig",
    "Timing",
    "recording",
    "rollout",
]
