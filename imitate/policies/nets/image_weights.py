"""Weights of image networks from a file that the user gives."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from imitate.errors import ConfigError

HEADS = ("fc.", "heads.")
"""What classifies in torchvision's networks, and has no place here."""

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Of batch normalisation, which group normalisation does without."""


def read_weights(path: str, network: nn.Module, key: str) -> None:
    """Load the .safetensors file at `path` into `network`, all of whose weights it must hold.

    The file's classification head is left out, and so are the statistics of batch normalisation where the
    network keeps none. Raises ConfigError naming the settings key `key`, the file and what does not fit.
    """
    file = Path(path).expanduser()
    if file.suffix != ".safetensors":
        raise ConfigError(
            f"{key} is {path!r}, expected a .safetensors file; a .pth file of torchvision's becomes one by "
            "safetensors.torch.save_file(torch.load(FILE, weights_only=True), NEW)"
        )
    try:
        found = load_file(file)
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"{key}: {path} cannot be read: {error}") from error
    expected = network.state_dict()
    given = {name: value for name, value in found.items() if not name.startswith(HEADS)}
    extra = sorted(n for n in given.keys() - expected.keys() if not n.endswith(STATISTICS))
    missing = sorted(expected.keys() - given.keys())
    if extra or missing:
        what = f"has {extra[0]!r}, which the network does not" if extra else f"lacks {missing[0]!r}"
        raise ConfigError(f"{key}: {path} {what}: expected torchvision's names for this network")
    for name, value in expected.items():
        if given[name].shape != value.shape:
            raise ConfigError(
                f"{key}: {path}: {name!r} has shape {list(given[name].shape)}, expected {list(value.shape)}"
            )
    network.load_state_dict({name: given[name] for name in expected})
