"""The shapes of managed tools on the wire."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from toolbox.definitions import Moment, ToolAnnotations, ToolDefinition, ToolExample
from toolbox.tools.changes import Change
from toolbox.tools.lint import Finding
from toolbox.tools.managed import ManagedTool
from toolbox.tools.management import Draft
from toolbox.tools.repository import Review
from toolbox.tools.schemas import ShortText, Tags, ToolDetail, to_detail

LongText = Annotated[str, Meta(max_length=100_000)]


class ToolDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool as it is to be: what it says, and how it is run."""

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$", examples=["weather_now"])]
    description: LongText = ""
    input_schema: Annotated[dict[str, Any], Meta(description="JSON Schema; its root has type object.")] = msgspec.field(
        default_factory=lambda: {"type": "object"}
    )
    output_schema: dict[str, Any] | None = None
    title: ShortText | None = None
    long_description: LongText | None = None
    author: ShortText | None = None
    category: ShortText | None = None
    tags: Tags = []
    examples: Annotated[list[ToolExample], Meta(max_length=100)] = []
    version: ShortText = "1.0.0"
    annotations: ToolAnnotations = ToolAnnotations()
    metadata: dict[str, Any] = {}
    timeout_seconds: Annotated[float, Meta(gt=0, le=86_400)] | None = None
    implementation: Annotated[
        dict[str, Any] | None, Meta(description="How it is run, as its kind says; without one it is found, not called.")
    ] = None
    active: Annotated[bool, Meta(description="False: switched off, so that nobody finds or calls it.")] = True

    def to_draft(self) -> Draft:
        """The draft that the manager takes."""
        fields = {name: getattr(self, name) for name in _DEFINED}
        definition = ToolDefinition(**fields | {"tags": tuple(self.tags), "examples": tuple(self.examples)})
        return Draft(definition, self.implementation, is_switched_off=not self.active)


_DEFINED = tuple(name for name in ToolDraft.__struct_fields__ if name not in ("implementation", "active"))


class ToolState(ToolDetail, frozen=True, kw_only=True):
    """Everything about a tool, with what only operators see."""

    id: int
    implementation: dict[str, Any] | None
    is_offered: Annotated[bool, Meta(description="Whether its plugin or upstream is there; true for all others.")]
    is_switched_off: Annotated[bool, Meta(description="By an operator; syncs leave it so.")]
    is_held: Annotated[bool, Meta(description="It is new, and waits for approval.")]
    is_pinned: Annotated[bool, Meta(description="It stays at its version, whatever its source offers.")]
    current_version: int
    waiting_version: Annotated[int | None, Meta(description="The newest version that waits for approval.")]
    findings: Annotated[list[Finding] | None, Meta(description="What lint found; null: not looked at yet.")]


class VersionSummary(Struct, frozen=True, kw_only=True):
    """A definition that a tool has had, or was offered."""

    number: int
    version: Annotated[str, Meta(description="As the definition itself says.")]
    fingerprint: str
    created_at: Moment
    review: Annotated[Review | None, Meta(description="Why it was never in force; null: it is, or was.")]
    is_current: bool


class VersionDetail(Struct, frozen=True, kw_only=True):
    """What a version says."""

    number: int
    definition: dict[str, Any]
    implementation: dict[str, Any] | None
    review: Review | None


class PinRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Which version to keep."""

    version: Annotated[int, Meta(ge=1, description="Without it: the one that is in force.")] | None = None


class RollBackRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Which version to go back to."""

    version: Annotated[int, Meta(ge=1)]


class WaitingVersion(Struct, frozen=True, kw_only=True):
    """A version that an operator is to approve or reject: what would change, and what lint says of it."""

    tool: str
    source: str
    version: int
    offered_at: Moment
    is_new: Annotated[bool, Meta(description="There is no version in force yet.")]
    changes: list[Change]
    findings: list[Finding]
    definition: dict[str, Any] | UnsetType = UNSET


class ImportReport(Struct, frozen=True):
    """What an import did."""

    source: str
    added: list[str]
    updated: list[str]
    unchanged: int


def to_state(managed: ManagedTool) -> dict[str, Any]:
    """A ToolState whose JSON fields are spliced in as they are stored."""
    own = ("implementation", "is_offered", "is_switched_off", "is_held", "is_pinned", "current_version")
    return (
        to_detail(managed.tool)
        | {"id": managed.tool.id}
        | {name: getattr(managed, name) for name in (*own, "waiting_version", "findings")}
    )


def to_line(managed: ManagedTool) -> dict[str, Any]:
    """A ToolDraft: what an export has, and an import takes."""
    fields = {name: getattr(managed.tool, name) for name in _DEFINED}
    line = {name: value for name, value in fields.items() if value is not None}
    if managed.implementation is not None:
        line["implementation"] = managed.implementation
    return line | ({"active": False} if managed.is_switched_off else {})
