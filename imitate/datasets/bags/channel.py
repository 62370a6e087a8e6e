"""What every recorded log offers, whatever its format: messages of channels, in the order of the file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Channel:
    """Where messages of one type come from.

    type: "pkg/msg/Type", also in ROS 1. encoding: "cdr" (ROS 2) or "ros1"; others are listed, not read.
    definition: the text of the message's definition in `language` ("msg" or "idl"); empty where the log holds
    none. publisher: tells the publishers of a topic apart, where the log does.
    """

    topic: str
    type: str
    encoding: str
    definition: str = ""
    language: str = ""
    publisher: int = 0


class BagFile(Protocol):
    """A log. `channels` and `problems` are complete once all messages were read.

    problems: in words, what of the file could not be read.
    """

    channels: list[Channel]
    problems: list[str]

    def messages(self, topics: Sequence[str] | None = None) -> Iterator[tuple[Channel, int, bytes]]:
        """All messages, or those of `topics`, in the order of the file: (channel, when received in ns, data).

        Reads what is whole of a damaged file; raises DataError where nothing can be read.
        """
