"""A catalogue of tools from elsewhere, one JSON object a line, becomes tool definitions.

Pure: no I/O and no database. It reads what ToolBox writes, the tools of MCP, OpenAI, Anthropic, Gemini and Bedrock, and
bare name-and-description lists; a whole file that is one JSON array, or an object with `tools`, is read as well.

What must be right is refused where it is not: the line itself, id, name, description, input schema. What only decorates
(title, tags, category, ...) is kept under its name in the metadata where it cannot be read, and the tool goes in.
"""

import codecs
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct

from toolbox.definitions import ToolAnnotations, ToolDefinition, ToolExample, shorten_name, unique_name
from toolbox.errors import InvalidDefinition
from toolbox.tools.dialects import to_json_schema
from toolbox.tools.validity import check_extent

MAX_TOOL_BYTES: Final = 1024 * 1024
MAX_ID_LENGTH: Final = 500
"""How long an id may be: PostgreSQL indexes at most 2,704 bytes."""
MAX_EXAMPLES: Final = 5
MAX_DOCUMENT_BYTES: Final = 256 * 1024 * 1024
"""How large a file may be that is one JSON array: it is decoded at once, lines are not."""


class LineChange(StrEnum):
    """What was done to a line, beside its schema."""

    NAME_MADE_SAFE = "name_made_safe"
    """The name had characters that a tool name cannot have, or was too long; `metadata.original_name` keeps it."""
    NAME_MADE_UNIQUE = "name_made_unique"
    """Another tool has the name; `metadata.original_name` keeps it."""
    CHARACTERS_REMOVED = "characters_removed"
    """U+0000 and halves of surrogate pairs, which PostgreSQL cannot store, were taken out."""
    TAG_DROPPED = "tag_dropped"
    """A tag that was no text, or empty, was left out."""
    KEPT_IN_METADATA = "kept_in_metadata"
    """A field could not be read, and is kept as it was in the metadata."""


class ImportedTool(Struct, frozen=True):
    """One tool of the catalogue; (source, id) says which it is, whatever its name has become.

    `changes` counts by kind: those of its schemas (`dialects.ChangeKind`) and of the line (`LineChange`).
    """

    id: str
    line: int
    definition: ToolDefinition
    changes: dict[str, int]


class RejectedLine(Struct, frozen=True):
    """A tool that is not imported; in an array, `line` is where it begins."""

    line: int
    reason: str


class Example(Struct, frozen=True):
    """Where a change was made: the line, the tool as it is called now, and in which field, or what its name was."""

    line: int
    tool: str
    where: str


class Catalogue(Struct, frozen=True):
    """What a file holds, in its order."""

    source: str
    tools: tuple[ImportedTool, ...]
    rejected: tuple[RejectedLine, ...]
    examples: dict[str, list[Example]] = {}
    """The first MAX_EXAMPLES changes of each kind."""

    @property
    def changes(self) -> dict[str, int]:
        """How many changes of each kind were made, most frequent first."""
        total: Counter[str] = Counter()
        for tool in self.tools:
            total.update(tool.changes)
        return dict(total.most_common())


def read_catalogue(
    lines: Iterable[bytes | str],
    *,
    source: str,
    taken: Collection[str] = (),
    names_by_id: Mapping[str, str] | None = None,
    max_tool_bytes: int = MAX_TOOL_BYTES,
) -> Catalogue:
    """Read the lines of a file, as iterating over it in binary or text mode gives them.

    The id is the line's `id`, else `metadata.id` (as an export has it), else the name. Of two lines with one id the
    first is imported and the second rejected: replacing a tool silently would hide that a file contradicts itself.

    Args:
        lines: The file; blank lines, CRLF and a byte order mark are fine.
        source: Where the tools come from; with the id it identifies a tool.
        taken: All names in use, those of this source included.
        names_by_id: The names that tools of this source have already: importing again updates, and never renames.
        max_tool_bytes: How long the JSON of one tool may be.
    """
    reader = _Reader(taken, names_by_id or {}, max_tool_bytes)
    tools: list[ImportedTool] = []
    rejected: list[RejectedLine] = []
    try:
        entries = _split(lines)
    except InvalidDefinition as error:
        return Catalogue(source, (), (RejectedLine(1, error.message),))
    for entry in entries:
        try:
            tools.append(reader.read(entry))
        except InvalidDefinition as error:
            rejected.append(RejectedLine(entry.line, entry.label + error.message))
    return Catalogue(source, tuple(tools), tuple(rejected), reader.examples)


class _Entry(Struct, frozen=True):
    """The JSON of one tool, and where it begins; the label tells entries of an array apart that share a line."""

    line: int
    text: bytes
    label: str = ""


def _split(lines: Iterable[bytes | str]) -> list[_Entry]:
    """One entry for each tool.

    Raises:
        InvalidDefinition: The file is one JSON array, and cannot be read at all.
    """
    texts = [_as_bytes(line) for line in lines]
    if texts:
        texts[0] = texts[0].removeprefix(codecs.BOM_UTF8).lstrip()
    first = next((text for text in texts if text), b"")
    entries = _split_document(b"\n".join(texts)) if _opens_document(first) else None
    if entries is not None:
        return entries
    return [_Entry(number, text) for number, text in enumerate(texts, 1) if text]


def _as_bytes(line: bytes | str) -> bytes:
    """The line without what surrounds it; a lone surrogate becomes bytes that the decoder refuses, and says so."""
    return (line if isinstance(line, bytes) else line.encode("utf-8", "surrogatepass")).strip()


def _opens_document(first_line: bytes) -> bool:
    """Whether the file may be one JSON value: an array, an object over several lines, or an object of tools."""
    if not first_line.startswith(b"{"):
        return first_line.startswith(b"[")
    members = _members(first_line)
    return members is None or _holds_tools(members)


def _members(text: bytes) -> dict[str, Raw] | None:
    try:
        return msgspec.json.decode(text, type=dict[str, Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _holds_tools(members: dict[str, Raw]) -> bool:
    return "tools" in members and "name" not in members


def _split_document(document: bytes) -> list[_Entry] | None:
    """The entries of a file that is one JSON value; None if it begins like an object and is not one."""
    array = document.lstrip()
    if not array.startswith(b"["):
        members = _members(document)
        if members is None:
            return None
        if not _holds_tools(members):
            return [_Entry(1, array)]
        array = bytes(members["tools"])
    if len(array) > MAX_DOCUMENT_BYTES:
        raise InvalidDefinition(
            f"the file is one JSON array of {len(array):,} bytes, of at most {MAX_DOCUMENT_BYTES:,}; "
            "put each tool on a line of its own"
        )
    try:
        tools = msgspec.json.decode(array, type=list[Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidDefinition(f"the file is one JSON array, and it is broken: {_why_undecodable(error)}") from error
    return list(_locate(tools, document))


def _locate(tools: list[Raw], document: bytes) -> Iterator[_Entry]:
    """Find the line where each entry of an array begins: entries are literal parts of the text, in order."""
    line, counted, end = 1, 0, 0
    for number, tool in enumerate(tools, 1):
        text = bytes(tool)
        begin = document.index(text, end)
        line += document.count(b"\n", counted, begin)
        counted, end = begin, begin + len(text)
        yield _Entry(line, text, f"entry {number}: ")


def _why_undecodable(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 text"
    return f"not JSON: {str(error).removeprefix('JSON is malformed: ')}"


class _Reader:
    """Reads one tool after another, and remembers which ids and names are used."""

    def __init__(self, taken: Collection[str], names_by_id: Mapping[str, str], max_tool_bytes: int) -> None:
        self._taken = {*taken, *names_by_id.values()}
        self._names_by_id = names_by_id
        self._max_tool_bytes = max_tool_bytes
        self._lines_by_id: dict[str, int] = {}
        self._next_numbers: dict[str, int] = {}
        self.examples: dict[str, list[Example]] = {}

    def read(self, entry: _Entry) -> ImportedTool:
        """Read one tool.

        Raises:
            InvalidDefinition: It is rejected; says why.
        """
        if len(entry.text) > self._max_tool_bytes:
            raise InvalidDefinition(
                f"is {len(entry.text):,} bytes long, and a tool has at most {self._max_tool_bytes:,}"
            )
        text, removed = _storable(entry.text)
        fields = _Fields(_unwrap(_decode(text)))
        fields.count(LineChange.CHARACTERS_REMOVED, removed)
        original_name = _read_name(fields)
        id_ = _read_id(fields) or original_name
        if len(id_) > MAX_ID_LENGTH:
            raise InvalidDefinition(f"has an id of {len(id_):,} characters, and an id has at most {MAX_ID_LENGTH}")
        if id_ in self._lines_by_id:
            raise InvalidDefinition(f"has the id {id_[:100]!r} of line {self._lines_by_id[id_]}, which is imported")
        name = self._names_by_id.get(id_) or self._free_name(original_name)
        metadata = {"id": id_}
        if name != original_name:
            safe = name == shorten_name(original_name)
            kind = LineChange.NAME_MADE_SAFE if safe else LineChange.NAME_MADE_UNIQUE
            fields.count(kind, where=f"was {original_name[:100]!r}")
            metadata["original_name"] = original_name
        definition = _read_definition(fields, name, metadata)
        self._taken.add(name)
        self._lines_by_id[id_] = entry.line
        for change, where in fields.places:
            known = self.examples.setdefault(change, [])
            if len(known) < MAX_EXAMPLES:
                known.append(Example(entry.line, name, where))
        return ImportedTool(id_, entry.line, definition, dict(fields.changes))

    def _free_name(self, name: str) -> str:
        """Number on where the last tool of that name ended: thousands may share one."""
        safe = shorten_name(name)
        free = unique_name(safe, self._taken, self._next_numbers.get(safe, 2))
        if free != safe:
            self._next_numbers[safe] = int(free.rpartition("_")[2]) + 1
        return free


_UNSTORABLE: Final = re.compile(
    rb"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def _storable(text: bytes) -> tuple[bytes, int]:
    """The JSON without escapes of U+0000 and of half a surrogate pair, and how many there were.

    PostgreSQL stores neither, and one such character in a description should not cost the tool. Whole pairs and
    escaped backslashes are matched first, so that they stay.
    """
    if b"\\u" not in text:
        return text, 0
    removed = 0

    def replace(match: re.Match[bytes]) -> bytes:
        nonlocal removed
        removed += match[1] is None
        return match[1] or b""

    return _UNSTORABLE.sub(replace, text), removed


def _decode(text: bytes) -> dict[str, Any]:
    """Of a key that is there twice the last value counts, as in PostgreSQL's jsonb; integers keep all their digits."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidDefinition(f"is {_why_undecodable(error)}") from error
    if not isinstance(value, dict):
        raise InvalidDefinition(f"is not a JSON object, but {text[:60].decode(errors='replace')}")
    check_extent(value, "the tool")
    return value


def _unwrap(value: dict[str, Any]) -> dict[str, Any]:
    """The tool inside the forms of OpenAI (`function`) and Bedrock (`toolSpec`, whose schema lies in `json`)."""
    wrapper = next((key for key in ("function", "toolSpec") if isinstance(value.get(key), dict)), None)
    if wrapper is not None and "name" not in value:
        value = {key: member for key, member in value.items() if key != wrapper} | value[wrapper]
        schema = value.get("inputSchema")
        if wrapper == "toolSpec" and isinstance(schema, dict) and schema.keys() == {"json"}:
            value["inputSchema"] = schema["json"]
    if value.get("type") == "function":
        value = {key: member for key, member in value.items() if key != "type"}
    return value


class _Fields:
    """The members of a line: what is taken is read, what is left becomes metadata."""

    def __init__(self, members: dict[str, Any]) -> None:
        self._left = members
        self._kept: dict[str, Any] = {}
        self.changes: Counter[str] = Counter()
        self.places: list[tuple[str, str]] = []

    def count(self, kind: str, number: int = 1, *, where: str = "") -> None:
        """Count a change, and keep where it was made; none at all is not counted."""
        if number:
            self.changes[str(kind)] += number
            self.places.append((str(kind), where))

    def take(self, *names: str) -> Any:
        """The first of several fields that is not null, or None."""
        for name in names:
            value = self._left.pop(name, None)
            if value is not None:
                return value
        return None

    def take_as(self, wanted: Any, name: str) -> Any:
        """A field of a type; one of another type is kept for the metadata."""
        value = self.take(name)
        if value is None:
            return None
        try:
            return msgspec.convert(value, wanted)
        except msgspec.ValidationError:
            self.keep(name, value)
            return None

    def keep(self, name: str, value: Any) -> None:
        """Keep what could not be read."""
        self._kept[name] = value
        self.count(LineChange.KEPT_IN_METADATA, where=name)

    def exported_id(self) -> str | None:
        """The id that an earlier import has left in the metadata."""
        metadata = self._left.get("metadata")
        id_ = metadata.get("id") if isinstance(metadata, dict) else None
        return id_ if isinstance(id_, str) and id_ else None

    def metadata(self) -> dict[str, Any]:
        """Everything that was not taken; a `metadata` in the line comes first where names meet."""
        given = self.take("metadata")
        if given is not None and not isinstance(given, dict):
            self.keep("metadata", given)
        return self._left | self._kept | (given if isinstance(given, dict) else {})


def _read_name(fields: _Fields) -> str:
    name = fields.take("name")
    if name is None:
        raise InvalidDefinition("has no name")
    if not isinstance(name, str) or not name.strip():
        raise InvalidDefinition(f"has a name that is not text: {name!r:.60}")
    return name


def _read_id(fields: _Fields) -> str | None:
    """The line's own id, or that of an earlier import, which an export has in the metadata."""
    id_ = fields.take("id")
    if isinstance(id_, bool) or not isinstance(id_, str | int | None):
        raise InvalidDefinition(f"has an id that is neither text nor a whole number: {id_!r:.60}")
    return fields.exported_id() if id_ is None or id_ == "" else str(id_)


def _read_definition(fields: _Fields, name: str, own_metadata: dict[str, Any]) -> ToolDefinition:
    description = fields.take("description")
    if not isinstance(description, str | None):
        raise InvalidDefinition(f"has a description that is not text: {description!r:.60}")
    input_schema = _read_input_schema(fields, own_metadata)
    output_schema = _read_output_schema(fields, own_metadata)
    version = fields.take_as(str | int | float, "version")
    return ToolDefinition(
        name=name,
        description=description or "",
        input_schema=input_schema,
        output_schema=output_schema,
        title=fields.take_as(str, "title"),
        long_description=fields.take_as(str, "long_description"),
        author=fields.take_as(str, "author"),
        category=fields.take_as(str, "category"),
        tags=_read_tags(fields),
        examples=_read_examples(fields),
        version="1.0.0" if version is None else str(version),
        annotations=_read_annotations(fields),
        timeout_seconds=fields.take_as(Annotated[float, Meta(gt=0)], "timeout_seconds"),
        metadata=fields.metadata() | own_metadata,
    )


def _read_input_schema(fields: _Fields, own_metadata: dict[str, Any]) -> dict[str, Any]:
    given = fields.take("input_schema", "inputSchema", "parameters")
    mapped = to_json_schema(given)
    for change in mapped.changes:
        fields.count(change.kind, where=f"input schema {change.path}".strip())
    if mapped.changes and given is not None:
        own_metadata["original_schema"] = given
    return mapped.schema


def _read_output_schema(fields: _Fields, own_metadata: dict[str, Any]) -> dict[str, Any] | None:
    """A schema that cannot be used only means that no output is promised."""
    given = fields.take("output_schema", "outputSchema")
    if given is None:
        return None
    try:
        mapped = to_json_schema(given, object_root=False)
    except InvalidDefinition:
        fields.keep("output_schema", given)
        return None
    for change in mapped.changes:
        fields.count(change.kind, where=f"output schema {change.path}".strip())
    if mapped.changes:
        own_metadata["original_output_schema"] = given
    return mapped.schema


def _read_tags(fields: _Fields) -> tuple[str, ...]:
    given = fields.take("tags")
    tags = given.split(",") if isinstance(given, str) else given or []
    if not isinstance(tags, list):
        fields.keep("tags", given)
        return ()
    texts = [tag.strip() for tag in tags if isinstance(tag, str) and tag.strip()]
    fields.count(LineChange.TAG_DROPPED, len(tags) - len(texts), where="tags")
    return tuple(dict.fromkeys(texts))


def _read_examples(fields: _Fields) -> tuple[ToolExample, ...]:
    """Questions alone, or with the call that answers them."""
    given = fields.take("examples")
    try:
        examples = [{"query": one} if isinstance(one, str) else one for one in given or ()]
        return msgspec.convert(examples, tuple[ToolExample, ...])
    except (msgspec.ValidationError, TypeError):  # a number is not iterable
        fields.keep("examples", given)
        return ()


def _read_annotations(fields: _Fields) -> ToolAnnotations:
    given = fields.take_as(dict[str, Any], "annotations") or {}
    try:
        annotations = msgspec.convert(given, ToolAnnotations)
    except msgspec.ValidationError:
        fields.keep("annotations", given)
        return ToolAnnotations()
    unknown = {name: value for name, value in given.items() if name not in ToolAnnotations.__struct_encode_fields__}
    if unknown:
        fields.keep("annotations", unknown)
    return annotations
