"""Ways to reach a robot, one file each, behind imitate.deploy.robot.Robot."""
