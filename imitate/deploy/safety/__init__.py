"""The safety gate: every command passes it, and it needs neither torch nor ROS."""
