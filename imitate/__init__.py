"""Robot imitation learning: demonstrations in, audited dataset, policy, honest evaluation, a real robot."""

__version__ = "0.1.0"
