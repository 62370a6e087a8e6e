"""A policy on a robot: what is sensed, what is sent, and everything that stands between the two.

Nothing here needs torch; ROS and its relatives are needed only by the backends that speak to them.
"""
