"""Honest figures about policies: rollouts on fixed seeds with intervals, and paired comparisons."""
