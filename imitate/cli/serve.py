"""imitate serve: let a policy act for robots on other machines, over WebSockets.

    imitate serve policy=policy.imitate
    imitate serve policy=runs/pick server.host=0.0.0.0 server.access.token_file=token

A robot's machine then names the server in place of a file: imitate deploy policy=ws://HOST:8765 robot=…, with
the token in the environment variable IMITATE_TOKEN. Python programs use imitate.serving.client.PolicyClient.
http://HOST:8765/health and /metrics (Prometheus) say how it is. Ctrl-C answers what was asked, and ends.

Keys:
    policy          a bundle, which answers one question after the other, or a run folder or checkpoint, which
                    answers the questions of several clients in one go
    server.host     where to listen: this machine only, unless told otherwise
    server.port     8765; 0 for any free one
    server.clients  at most so many at a time
    server.batch    at most so many questions are answered in one go
    server.idle_s   a client that asks nothing for so long is let go
    server.access   token_file; cert and key for TLS; client_ca for mutual TLS: files
    device, threads where and with how many threads the policy computes
    compiled        true: run the machine code in a signed bundle
    public_key      a file: take no bundle that was not signed with its other half
"""

import asyncio
import signal
from dataclasses import dataclass

from imitate.cli.command import Outcome
from imitate.errors import ConfigError
from imitate.progress import Progress
from imitate.serving.answering import Answerer, load_answerer
from imitate.serving.server import PolicyServer, ServerConfig


@dataclass(frozen=True)
class ServeCommand:
    """The settings of `imitate serve`; see the module."""

    policy: str
    device: str
    threads: int
    public_key: str | None
    server: ServerConfig
    compiled: bool = False

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ConfigError(f"threads is {self.threads}, expected at least 1")

    def run(self, progress: Progress) -> Outcome:
        """Serve until told to end."""
        answerer = load_answerer(self.policy, self.device, self.public_key, self.threads, self.compiled)
        answered = asyncio.run(self._serve(answerer, progress))
        return Outcome({"answered": answered}, [f"answered  {answered} questions"])

    async def _serve(self, answerer: Answerer, progress: Progress) -> int:
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        async with PolicyServer(answerer, self.server) as server:
            scheme = "ws" if self.server.access.cert is None else "wss"
            progress.say(f"serving {self.policy} at {scheme}://{self.server.host}:{server.port}")
            await ended.wait()
        return server.metrics.answered
