"""Which DDS domain a robot is in, and how to reach it: settings of Cyclone DDS."""

import ipaddress
import os
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from imitate.errors import ConfigError

# Above 232 the ports of a domain would pass 65535 (DDSI-RTPS 9.6.1.1).
LAST_DOMAIN = 232


@dataclass(frozen=True)
class DdsNetwork:
    """domain: ROS_DOMAIN_ID where None, else 0. interface: name or address of the one to use, "" for any.

    peers: addresses of robots where the network has no multicast; with any of them none is used.
    """

    domain: int | None = None
    interface: str = ""
    peers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.domain is not None and not 0 <= self.domain <= LAST_DOMAIN:
            raise ConfigError(f"robot.domain is {self.domain}, expected 0 to {LAST_DOMAIN}, or null")

    def domain_id(self) -> int:
        """The domain; raises ConfigError where ROS_DOMAIN_ID is none."""
        if self.domain is not None:
            return self.domain
        text = os.environ.get("ROS_DOMAIN_ID", "0") or "0"
        if not text.isdigit() or int(text) > LAST_DOMAIN:
            raise ConfigError(f"ROS_DOMAIN_ID is {text!r}, expected 0 to {LAST_DOMAIN}")
        return int(text)

    def config(self) -> str | None:
        """Cyclone's XML; None where CYCLONEDDS_URI and its defaults decide.

        https://cyclonedds.io/docs/cyclonedds/latest/config/config_file_reference.html
        """
        if not self.interface and not self.peers:
            return None
        peers = "".join(f"<Peer address={quoteattr(address)}/>" for address in self.peers)
        return (
            f"<CycloneDDS><Domain><General>{self._interfaces()}"
            f"{'<AllowMulticast>false</AllowMulticast>' if peers else ''}</General>"
            f"<Discovery><ParticipantIndex>auto</ParticipantIndex>"
            f"{f'<Peers>{peers}</Peers>' if peers else ''}</Discovery></Domain></CycloneDDS>"
        )

    def _interfaces(self) -> str:
        if not self.interface:
            return ""
        try:
            kind = "address" if ipaddress.ip_address(self.interface) else ""
        except ValueError:
            kind = "name"
        return f"<Interfaces><NetworkInterface {kind}={quoteattr(self.interface)}/></Interfaces>"

    def __str__(self) -> str:
        where = f" on {self.interface}" if self.interface else ""
        return f"DDS domain {self.domain_id()}{where}"
