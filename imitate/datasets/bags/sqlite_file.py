"""ROS 2 logs in sqlite3, as rosbag2_storage_sqlite3 writes them (schema versions 1 to 4)."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from imitate.datasets.bags.channel import Channel
from imitate.datasets.unpacking import DamagedError, unpacked
from imitate.errors import DataError

MAGIC = b"SQLite format 3\0"
LANGUAGES = {"ros2msg": "msg", "ros2idl": "idl"}


class SqliteFile:
    """See BagFile. codec: of each message, "zstd" where rosbag2 compressed them one by one."""

    def __init__(self, path: Path, codec: str = "") -> None:
        self.path = path
        self.channels: list[Channel] = []
        self.problems: list[str] = []
        self._codec = codec

    def messages(self, topics: Sequence[str] | None = None) -> Iterator[tuple[Channel, int, bytes]]:
        """See BagFile."""
        self.problems.clear()
        waiting = self.path.with_name(self.path.name + "-wal")
        if waiting.exists() and waiting.stat().st_size:
            self.problems.append(
                f"{waiting.name} holds messages that were never moved into {self.path.name}: they are left "
                f"out; run  sqlite3 {self.path.name} 'pragma wal_checkpoint'  to move them"
            )
        try:
            with closing(self._connect()) as connection:
                known = self._channels(connection)
                yield from self._rows(connection, known, topics)
        except sqlite3.Error as error:
            if not self.channels:
                raise DataError(f"{self.path} is no readable rosbag2 database: {error}") from error
            self.problems.append(f"{self.path.name} is damaged ({error}): what follows is lost")

    def _connect(self) -> sqlite3.Connection:
        # Nothing is written, not even the files that sqlite3 keeps beside a database in use.
        uri = f"file:{quote(str(self.path.absolute()))}?mode=ro&immutable=1"
        connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        connection.text_factory = lambda text: text.decode(errors="replace")
        # No value of a file is longer than the file, unless it is computed.
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, self.path.stat().st_size + 1024**2)
        connection.execute("PRAGMA trusted_schema=OFF")
        return connection

    def _channels(self, connection: sqlite3.Connection) -> dict[int, Channel]:
        tables = dict(connection.execute("SELECT name, type FROM sqlite_master").fetchall())
        if tables.get("topics") != "table" or tables.get("messages") != "table":
            raise DataError(f"{self.path} is no rosbag2 database: it lacks the tables topics and messages")
        definitions = self._definitions(connection, tables)
        known: dict[int, Channel] = {}
        for number, topic, kind, encoding in connection.execute(
            "SELECT id, name, type, serialization_format FROM topics"
        ):
            text, language = definitions.get(kind, ("", ""))
            known[number] = Channel(str(topic), str(kind), str(encoding), text, language)
        self.channels = list(known.values())
        return known

    def _definitions(
        self, connection: sqlite3.Connection, tables: dict[str, str]
    ) -> dict[str, tuple[str, str]]:
        if tables.get("message_definitions") != "table":
            return {}
        rows = connection.execute(
            "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
        )
        return {kind: (str(text), LANGUAGES[how]) for kind, how, text in rows if how in LANGUAGES and text}

    def _rows(
        self, connection: sqlite3.Connection, known: dict[int, Channel], topics: Sequence[str] | None
    ) -> Iterator[tuple[Channel, int, bytes]]:
        strange = 0
        for number, time_ns, data in connection.execute("SELECT topic_id, timestamp, data FROM messages"):
            channel = known.get(number)
            if channel is None or not isinstance(time_ns, int) or not isinstance(data, bytes):
                strange += 1
            elif topics is None or channel.topic in topics:
                try:
                    yield channel, time_ns, unpacked(data, self._codec)
                except DamagedError:
                    strange += 1
        if strange:
            self.problems.append(f"{self.path.name}: {strange} rows are no messages")
