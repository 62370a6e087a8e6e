"""Recorded robot logs, read without ROS and resampled to even steps: ROS 1, ROS 2 in sqlite3, MCAP."""
