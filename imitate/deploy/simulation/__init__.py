"""A simulated arm behind a rosbridge server, for trying everything without a robot."""
