"""Who may ask a policy server: whoever knows the token, or holds a certificate of the right authority.

And what a client shows and believes.
"""

import hmac
import ipaddress
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from imitate.errors import ConfigError

SHORTEST_TOKEN = 16


@dataclass(frozen=True)
class AccessConfig:
    """token_file: a file that holds the token. cert, key: of the server, for TLS. client_ca: clients must
    show a certificate of this authority (mutual TLS). The last three are PEM files; None for without.
    """

    token_file: str | None = None
    cert: str | None = None
    key: str | None = None
    client_ca: str | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise ConfigError("access.cert and access.key belong together: name both or neither")
        if self.client_ca is not None and self.cert is None:
            raise ConfigError(
                "access.client_ca asks clients for certificates, which needs access.cert and key"
            )

    def build(self, host: str) -> "Access":
        """Read the files; raises ConfigError where one is unreadable, or strangers could come in."""
        token = None if self.token_file is None else read_token(self.token_file)
        if token is None and self.client_ca is None and not is_loopback(host):
            raise ConfigError(
                f"host={host} lets others in: name  access.token_file=FILE  or  access.client_ca=FILE"
            )
        return Access(token, self._tls())

    def _tls(self) -> ssl.SSLContext | None:
        if self.cert is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.cert, self.key)
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"access.cert, key or client_ca cannot be used: {error}") from error
        return context


@dataclass(frozen=True)
class Access:
    """What a server asks for."""

    token: str | None
    tls: ssl.SSLContext | None

    def allows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request with `headers` knows the token, compared in constant time."""
        if self.token is None:
            return True
        told = headers.get("Authorization", "")
        return hmac.compare_digest(told.encode(), f"Bearer {self.token}".encode())


@dataclass(frozen=True)
class ClientTlsConfig:
    """Of a client at wss://…, PEM files: ca, the authority that it believes in place of the system's; cert
    and key, the certificate that it shows to a server that asks for one.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise ConfigError("tls.cert and tls.key belong together: name both or neither")

    @property
    def is_set(self) -> bool:
        """Whether there is anything to say."""
        return self.ca is not None or self.cert is not None

    def build(self) -> ssl.SSLContext | None:
        """Read the files; None where none is named. Raises ConfigError where one cannot be used."""
        if not self.is_set:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.cert is not None:
                # Without a function to ask, OpenSSL would ask at the terminal.
                context.load_cert_chain(self.cert, self.key, password=lambda: b"")
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"tls.ca, cert or key cannot be used: {error}") from error
        return context


def read_token(path: str) -> str:
    """The token in a file; raises ConfigError where others can read it, or it is too short to be a secret."""
    file = Path(path)
    try:
        token, mode = file.read_text(encoding="ascii").strip(), file.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"access.token_file={path} cannot be read: {error}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"access.token_file={path} can be read by others: run  chmod 600 {path}")
    if len(token) < SHORTEST_TOKEN:
        raise ConfigError(
            f"access.token_file={path} holds {len(token)} characters, expected at least {SHORTEST_TOKEN}: "
            f"run  openssl rand -hex 32 > {path}"
        )
    return token


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
