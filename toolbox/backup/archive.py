"""The file of a backup: a tar, compressed with gzip, that is written and read in one pass.

    manifest.json           the Manifest: what is in it, and for which schema
    tables/NAME/000001 ...  the rows of each table, as PostgreSQL's COPY writes them in its binary format
    end.json                the End: rows and SHA-256 of each table; a file without it was cut off

Checksums tell damage, not forgery: who can change the file can change them too.
"""

import gzip
import hashlib
import io
import itertools
import tarfile
import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import IO

import msgspec
from msgspec import Struct

from toolbox.errors import InvalidBackup

FORMAT = 1
COMPRESSION = 6
CHUNK_BYTES = 4 * 1024 * 1024
_MANIFEST, _END, _ROWS = "manifest.json", "end.json", "tables"


class Column(Struct, frozen=True):
    """A column, and its type as PostgreSQL names it."""

    name: str
    type: str


class Table(Struct, frozen=True):
    """A table whose rows are in the backup."""

    name: str
    columns: tuple[Column, ...]


class Manifest(Struct, frozen=True, kw_only=True):
    """What a backup says of itself; its tables come in this order."""

    format: int
    toolbox: str
    made_at: datetime
    revision: str
    has_history: bool
    key_fingerprints: tuple[str, ...]
    """Tell whether SECRET_KEY still has the keys under which secrets were stored; none if it was not set."""
    tables: tuple[Table, ...]


class Content(Struct, frozen=True):
    """What the rows of a table must come to."""

    rows: int
    bytes: int
    sha256: str


class End(Struct, frozen=True):
    """The last word of a backup."""

    tables: dict[str, Content]


class Writer:
    """Writes a backup: the manifest, each table's rows bit by bit, the end."""

    def __init__(self, file: IO[bytes], manifest: Manifest) -> None:
        self._gzip = gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=COMPRESSION)
        self._tar = tarfile.open(fileobj=self._gzip, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - see close
        self._made_at = int(manifest.made_at.timestamp())
        self._contents: dict[str, Content] = {}
        self._add(_MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))

    def start_table(self, name: str) -> "TableWriter":
        """Begin with the next table."""
        return TableWriter(self, name)

    def add_chunk(self, table: str, number: int, content: bytes) -> None:
        """A part of a table's rows."""
        self._add(f"{_ROWS}/{table}/{number:06}", content)

    def end_table(self, table: str, content: Content) -> None:
        """What the parts came to."""
        self._contents[table] = content

    def close(self) -> End:
        """Say that this is all."""
        end = End(self._contents)
        self._add(_END, msgspec.json.format(msgspec.json.encode(end)))
        self._tar.close()
        self._gzip.close()
        return end

    def _add(self, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mtime, member.mode = len(content), self._made_at, 0o600
        self._tar.addfile(member, io.BytesIO(content))


class TableWriter:
    """The rows of one table."""

    def __init__(self, writer: Writer, name: str) -> None:
        self._writer = writer
        self._name = name
        self._buffer = bytearray()
        self._chunks = 0
        self._bytes = 0
        self._hash = hashlib.sha256()

    async def write(self, content: bytes) -> None:
        """A part as it comes from PostgreSQL, which waits until it is written."""
        self._buffer += content
        if len(self._buffer) >= CHUNK_BYTES:
            self._flush()

    def end(self, rows: int) -> None:
        """No more of it."""
        self._flush()
        self._writer.end_table(self._name, Content(rows, self._bytes, self._hash.hexdigest()))

    def _flush(self) -> None:
        self._chunks += 1
        self._hash.update(self._buffer)
        self._bytes += len(self._buffer)
        self._writer.add_chunk(self._name, self._chunks, bytes(self._buffer))
        self._buffer.clear()


class Reader:
    """Reads a backup, once, from its beginning to its end."""

    def __init__(self, file: IO[bytes]) -> None:
        """Read the manifest.

        Raises:
            InvalidBackup: This is no backup, or one that a newer ToolBox has made.
        """
        self._gzip = gzip.GzipFile(fileobj=file, mode="rb")
        self._members = self._read_members()
        name, content = next(self._members, ("", b""))
        if name != _MANIFEST:
            raise InvalidBackup("this is no backup of ToolBox")
        self.manifest = _decode(content)
        self._seen: dict[str, tuple[int, str]] = {}

    def tables(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Each table with the parts of its rows; the parts must be read before the next table is asked for.

        Raises:
            InvalidBackup: The file is damaged, or cut off.
        """
        rows = itertools.takewhile(lambda member: member[0] != _END, self._keeping_end())
        for table, parts in itertools.groupby(rows, key=lambda member: member[0].split("/")[1]):
            yield table, self._measured(table, (content for _, content in parts))

    def check(self, rows: dict[str, int] | None = None) -> End:
        """Compare what was read with what was written; `rows` are those that arrived in the database.

        Raises:
            InvalidBackup: They differ.
        """
        if self._end is None:
            raise InvalidBackup("the file is cut off: its end is missing")
        for _ in self._members:
            raise InvalidBackup("the file goes on after its end")
        for table, content in self._end.tables.items():
            if self._seen.get(table) != (content.bytes, content.sha256):
                raise InvalidBackup(f"the file is damaged: the rows of {table} are not those that were written")
            if rows is not None and rows[table] != content.rows:
                raise InvalidBackup(f"{table} had {content.rows} rows, and {rows[table]} came back")
        if self._end.tables.keys() != self._seen.keys():
            raise InvalidBackup("the file is damaged: it holds other tables than it says")
        return self._end

    _end: End | None = None

    def _keeping_end(self) -> Iterator[tuple[str, bytes]]:
        for name, content in self._members:
            if name == _END:
                try:
                    self._end = msgspec.json.decode(content, type=End)
                except msgspec.DecodeError as error:
                    raise InvalidBackup(f"the file is damaged: {error}") from error
            elif not name.startswith(f"{_ROWS}/"):
                raise InvalidBackup(f"the file holds {name[:100]!r}, which no backup does")
            yield name, content

    def _measured(self, table: str, parts: Iterator[bytes]) -> Iterator[bytes]:
        count, digest = 0, hashlib.sha256()
        for part in parts:
            count += len(part)
            digest.update(part)
            yield part
        self._seen[table] = (count, digest.hexdigest())

    def _read_members(self) -> Iterator[tuple[str, bytes]]:
        try:
            with tarfile.open(fileobj=self._gzip, mode="r|") as tar:
                for member in tar:
                    content = tar.extractfile(member)
                    if content is None or member.size > 2 * CHUNK_BYTES:
                        raise InvalidBackup(f"the file holds {member.name[:100]!r}, which no backup does")
                    yield member.name, content.read()
            while self._gzip.read(CHUNK_BYTES):
                pass  # to its end, where gzip has a checksum of the whole
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InvalidBackup(f"this is no backup of ToolBox, or it is damaged: {error}") from error


def _decode(content: bytes) -> Manifest:
    class Version(Struct):
        format: int

    try:
        version = msgspec.json.decode(content, type=Version)
        if version.format != FORMAT:
            raise InvalidBackup(
                f"the backup has format {version.format}, and this ToolBox reads {FORMAT}: restore it with the version "
                "that made it"
            )
        return msgspec.json.decode(content, type=Manifest)
    except msgspec.DecodeError as error:
        raise InvalidBackup(f"this is no backup of ToolBox, or it is damaged: {error}") from error
