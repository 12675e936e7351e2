"""The four meta-tools, through which a model reaches all others. Pure module: no I/O.

A catalogue of thousands does not fit into a model's context, so clients see these four (and pinned tools) instead.
"""

from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from toolbox.definitions import ToolAnnotations, ToolDefinition
from toolbox.errors import InvalidArguments, Violation
from toolbox.mcp.schemas import (
    CallToolArguments,
    DescribedTool,
    DescribeToolArguments,
    FindToolArguments,
    FoundTools,
    ListedTools,
    ListToolsArguments,
    ReadResultArguments,
)
from toolbox.settings import Settings
from toolbox.tools.arguments import compile_schema, find_violations

A = TypeVar("A", bound=Struct)

INSTRUCTIONS = """\
ToolBox holds many more tools than are listed here. To get something done, first describe it to find_tool in a few \
words: each match comes with its name and the schema of its arguments. Then run the best match with call_tool. \
describe_tool tells everything about one tool, and list_tools goes through the catalogue. If nothing fits, search once \
more in other words before you give up."""

_READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
_DOES_ANYTHING = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=True
)


class MetaTool(Generic[A]):
    """One of the four: what clients see of it, and how its arguments are read."""

    def __init__(self, definition: ToolDefinition, arguments: type[A]) -> None:
        self.definition = definition
        self._decoder = msgspec.json.Decoder(arguments)
        self._validator = compile_schema(definition.input_schema)

    def read_arguments(self, arguments: Raw) -> A:
        """Arguments as their struct.

        Raises:
            InvalidArguments: They do not fit the schema.
        """
        try:
            return self._decoder.decode(arguments)
        except (msgspec.DecodeError, RecursionError) as error:
            violations = self._find_violations(arguments) or [Violation("", str(error))]
            raise InvalidArguments(self.definition.name, violations) from error

    def _find_violations(self, arguments: Raw) -> list[Violation]:
        """Everything that breaks the schema: the decoder stops at the first, and refuses more than the schema does."""
        try:
            return find_violations(self._validator, msgspec.json.decode(arguments))
        except (msgspec.DecodeError, RecursionError, ValueError):  # numbers too large, or nested too deep
            return []


class MetaTools(Struct, frozen=True):
    """The four, in the order in which clients see them."""

    find: MetaTool[FindToolArguments]
    describe: MetaTool[DescribeToolArguments]
    call: MetaTool[CallToolArguments]
    list: MetaTool[ListToolsArguments]

    @property
    def definitions(self) -> tuple[ToolDefinition, ...]:
        """What clients see."""
        return self.find.definition, self.describe.definition, self.call.definition, self.list.definition


def create_meta_tools(settings: Settings) -> MetaTools:
    """The four, with the defaults that the operator has set."""
    return MetaTools(_find_tool(settings), _describe_tool(), _call_tool(), _list_tools())


def _find_tool(settings: Settings) -> MetaTool[FindToolArguments]:
    schema = _schema(FindToolArguments)
    schema["properties"]["limit"]["default"] = settings.default_search_limit
    schema["properties"]["threshold"]["default"] = settings.default_similarity_threshold
    definition = ToolDefinition(
        name="find_tool",
        title="Find a tool",
        description=(
            "Search all tools by what you want to do. Use this first whenever no listed tool does what you need: there "
            "are many more than are listed. Answers with the best matches, each with name, description and input "
            "schema; run one with call_tool."
        ),
        input_schema=schema,
        output_schema=_schema(FoundTools),
        annotations=_READS,
    )
    return MetaTool(definition, FindToolArguments)


def _describe_tool() -> MetaTool[DescribeToolArguments]:
    definition = ToolDefinition(
        name="describe_tool",
        title="Describe a tool",
        description=(
            "Everything about one tool whose name you know: long description, examples, input and output schema, hints "
            "about what a call does. Use it when a match of find_tool looks right but you are not sure how to call it."
        ),
        input_schema=_schema(DescribeToolArguments),
        output_schema=_schema(DescribedTool),
        annotations=_READS,
    )
    return MetaTool(definition, DescribeToolArguments)


def _call_tool() -> MetaTool[CallToolArguments]:
    definition = ToolDefinition(
        name="call_tool",
        title="Call a tool",
        description=(
            "Run a tool that find_tool or list_tools named, with arguments that fit its input schema. Answers with "
            "exactly what that tool answers, or with the first part of a long result and how to go on. When arguments "
            "do not fit, the answer names each one that does not and repeats the schema: correct them and call again."
        ),
        input_schema=_schema(CallToolArguments),
        annotations=_DOES_ANYTHING,
    )
    return MetaTool(definition, CallToolArguments)


def _list_tools() -> MetaTool[ListToolsArguments]:
    definition = ToolDefinition(
        name="list_tools",
        title="List tools",
        description=(
            "Go through the catalogue page by page, in the order of names, with names and descriptions only. Use it to "
            "see what there is in a category or under some tags; to get something done, find_tool is quicker."
        ),
        input_schema=_schema(ListToolsArguments),
        output_schema=_schema(ListedTools),
        annotations=_READS,
    )
    return MetaTool(definition, ListToolsArguments)


def create_read_result() -> MetaTool[ReadResultArguments]:
    """What reads on in a long result: through call_tool where that is listed, and listed itself where it is not."""
    definition = ToolDefinition(
        name="read_result",
        title="Read on in a long result",
        description="The next part of a result that was too long for one answer, by the uri that the answer named.",
        input_schema=_schema(ReadResultArguments),
        annotations=_READS,
    )
    return MetaTool(definition, ReadResultArguments)


def _schema(struct: type[Struct]) -> dict[str, Any]:
    """A struct's schema with its root in place: MCP wants `type: object` there, msgspec puts a $ref."""
    (root,), parts = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
    schema = _without_names(parts.pop(root["$ref"].rpartition("/")[2]))
    named = {name: _without_names(part) for name, part in parts.items()}
    return schema | ({"$defs": named} if named else {})


def _without_names(schema: dict[str, Any]) -> dict[str, Any]:
    """A struct's name and docstring speak to readers of the code; a model would pay for every word of them."""
    return {key: value for key, value in schema.items() if key not in {"title", "description"}}
