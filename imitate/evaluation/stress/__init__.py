"""Robustness sweeps: success against the size of what goes wrong, each size on the same seeds."""
