"""The shapes of what the four meta-tools take and give. JSON that is stored already is spliced in as it is."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from toolbox.calls.schemas import MAX_TOKENS, MIN_TOKENS
from toolbox.search.schemas import MatchLimit, QueryText, Share
from toolbox.tools.schemas import ShortText, Tags

ToolName = Annotated[str, Meta(min_length=1, max_length=256, description="The tool's name, exactly as it was found.")]
WantedCategory = Annotated[ShortText | None, Meta(description="Only tools of this category.")]
WantedTags = Annotated[Tags, Meta(description="Only tools that have all of these tags.")]
InputSchema = Annotated[Raw, Meta(description="JSON Schema of the arguments.", extra_json_schema={"type": "object"})]
JsonObject = Annotated[Raw, Meta(extra_json_schema={"type": "object"})]
JsonArray = Annotated[Raw, Meta(extra_json_schema={"type": "array"})]


class FindToolArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """What find_tool takes."""

    query: QueryText
    limit: Annotated[MatchLimit, Meta(description="At most this many matches.")] | UnsetType = UNSET
    threshold: (
        Annotated[
            Share | None, Meta(description="Leave out matches that are less similar than this; null leaves out none.")
        ]
        | UnsetType
    ) = UNSET
    category: WantedCategory = None
    tags: WantedTags = []
    detail: Annotated[
        Literal["schema", "summary"],
        Meta(description="schema: with all that a call needs; summary: names and descriptions only."),
    ] = "schema"


class DescribeToolArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """What describe_tool takes."""

    tool_name: ToolName


class CallToolArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """What call_tool takes."""

    tool_name: ToolName
    arguments: Annotated[dict[str, Any], Meta(description="The tool's arguments, as its input schema has them.")] = {}
    timeout_seconds: Annotated[
        Annotated[float, Meta(gt=0, le=3600)] | None,
        Meta(description="Give up after this time, if the tool's own limit is not shorter."),
    ] = None
    max_tokens: Annotated[
        Annotated[int, Meta(ge=MIN_TOKENS, le=MAX_TOKENS)] | None,
        Meta(description="A longer result comes as its first part, with a link to the rest."),
    ] = None


class ReadResultArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """What read_result takes."""

    uri: Annotated[str, Meta(description="result://..., as the answer named it.")]
    max_tokens: Annotated[
        Annotated[int, Meta(ge=MIN_TOKENS, le=MAX_TOKENS)] | None,
        Meta(description="How long this part may be."),
    ] = None


class ListToolsArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """What list_tools takes."""

    category: WantedCategory = None
    tags: WantedTags = []
    limit: Annotated[int, Meta(ge=1, le=100, description="At most this many tools.")] = 100
    offset: Annotated[
        int, Meta(ge=0, le=1_000_000_000, description="Skip this many: next_offset of the page before.")
    ] = 0


class FoundTool(Struct, frozen=True, omit_defaults=True):
    """A match."""

    name: str
    description: str
    category: str | None
    tags: list[str]
    similarity: Annotated[float, Meta(description="0 to 1; 1 when the query spells the name.")]
    runnable: Annotated[bool, Meta(description="False when nothing here can run it.")] = True
    input_schema: InputSchema | UnsetType = UNSET
    metadata: JsonObject | UnsetType = UNSET


class FoundTools(Struct, frozen=True, omit_defaults=True):
    """What find_tool gives."""

    matches: Annotated[list[FoundTool], Meta(description="Best first.")]
    degraded: Annotated[
        bool, Meta(description="True when the embedding model failed, so only the query's words were compared.")
    ] = False


class DescribedTool(Struct, frozen=True, kw_only=True):
    """What describe_tool gives."""

    name: str
    title: str | None
    description: str
    long_description: str | None
    author: str | None
    category: str | None
    tags: list[str]
    examples: Annotated[JsonArray, Meta(description="Questions, with the calls that answer them.")]
    version: str
    input_schema: InputSchema
    output_schema: Annotated[JsonObject | None, Meta(description="JSON Schema of the result, if one is promised.")]
    annotations: Annotated[JsonObject, Meta(description="Hints about what a call does to the world.")]
    metadata: JsonObject
    timeout_seconds: float | None
    source: str
    created_at: datetime
    updated_at: datetime
    runnable: Annotated[bool, Meta(description="False when nothing here can run it.")]


class ListedTool(Struct, frozen=True):
    """A tool in a list."""

    name: str
    description: str
    category: str | None
    tags: list[str]


class ListedTools(Struct, frozen=True, omit_defaults=True):
    """What list_tools gives."""

    tools: Annotated[list[ListedTool], Meta(description="In the order of their names.")]
    total: Annotated[int, Meta(description="How many there are in all.")]
    next_offset: Annotated[int | None, Meta(description="Where the next page starts, if there is one.")] = None
