"""Which device the work is done on."""

import torch

from imitate.errors import ConfigError


def chosen_device(name: str, key: str) -> torch.device:
    """The device called `name`; "auto" is a GPU where there is one.

    Raises ConfigError naming the setting `key` where there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"{key} is {name!r}, expected auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"{key} is {name!r}, but there are {torch.cuda.device_count()} CUDA devices")
    return device
