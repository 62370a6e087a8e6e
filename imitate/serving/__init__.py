"""A policy on one machine that acts for robots on others; see imitate.serving.wire for what is said."""
