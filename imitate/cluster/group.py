"""How workers come together in torch's process group, and leave it where some are gone.

They talk over the network interface by whose address Ray knows their machine. By itself gloo takes the
address that the machine's own name stands for, which on many is one of loopback: workers on two machines then
never find each other.
"""

import os
import socket
import struct
from typing import Any

NAME = "GLOO_SOCKET_IFNAME"
SIOCGIFADDR = 0x8915
"""Linux: the address of an interface."""

LEAVING_S = 10
"""How long workers may take to leave a group of which some are gone, in seconds; then they are killed."""


def interface_of(address: str) -> str | None:
    """The name of this machine's interface that has this IPv4 address; None where none has, or off Linux."""
    try:
        import fcntl
    except ImportError:
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            try:
                found = fcntl.ioctl(asked, SIOCGIFADDR, struct.pack("256s", name.encode()))
            except OSError:  # it has no address
                continue
            if socket.inet_ntoa(found[20:24]) == address:
                return name
    return None


def use_own_interface() -> None:
    """In a worker, before its process group is made; a name that the user has set stays."""
    import ray

    name = interface_of(ray.util.get_node_ip_address())
    if name is not None:
        os.environ.setdefault(NAME, name)


def torch_config(timeout_s: int) -> Any:
    """Ray Train's settings of torch's process group, with the right interface."""
    from ray.train.torch import TorchConfig

    class Backend(TorchConfig().backend_cls):  # type: ignore
        def on_start(self, worker_group: Any, backend_config: Any) -> None:
            os.environ.setdefault("TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S", str(LEAVING_S))
            worker_group.execute(use_own_interface)
            super().on_start(worker_group, backend_config)

    class Config(TorchConfig):
        @property
        def backend_cls(self) -> type:
            return Backend

    return Config(timeout_s=timeout_s)
