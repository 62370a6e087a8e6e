"""Exporting a trained policy as one file that runs without torch; see imitate.runtime for the other end."""
