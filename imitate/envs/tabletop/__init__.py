"""Tabletop: our own MuJoCo tasks for a six-joint arm with a parallel gripper.

One task per file, each with the config dataclass that builds its environment. What the tasks share:
arm.xml and arm (the robot), scene (physics of one episode), actions (action modes), env (the gymnasium
environment), expert (the closed-loop demonstrator), camera (pictures).
"""
