"""Schemas of foreign catalogues become JSON Schema 2020-12 whose root has type "object".

Pure: no I/O, and no reference is ever fetched. Only what must change changes: what is not valid, and three things that
are valid JSON Schema by accident but mean something else where they come from, so that the tool could not be called:

1. `nullable: true` (OpenAPI 3.0) allows null;
2. an `enum` of which no value fits the `type` (`{"type": "boolean", "enum": ["True", "False"]}`);
3. a map of property schemas without the object around it (`{"city": {"type": "string"}}`).

A schema that names its `$schema` is taken at its word in these three. What cannot be read is dropped, so the result
accepts more rather than less. A `default` outside of its type stays: it is an annotation (2020-12 validation, 9.2).
"""

from enum import StrEnum
from typing import Any

from jsonschema_rs import validator_for
from msgspec import Struct

from toolbox.errors import InvalidDefinition
from toolbox.tools.keywords import (
    ANCHOR,
    DROP,
    JSON_TYPES,
    KEYWORDS,
    NEVER_OBJECTS,
    SCHEMA_LISTS,
    SCHEMA_MAPS,
    SCHEMAS,
    as_draft,
    as_flag,
    as_names,
    as_pattern,
    fits,
    from_text,
    is_names,
    read_value,
    texts,
    type_of,
)
from toolbox.tools.references import DRAFT_2020_12, References, base_of, check_expansion, resource_of
from toolbox.tools.type_names import read_type, read_types
from toolbox.tools.validity import check_extent, compile_error


class ChangeKind(StrEnum):
    """What was done to a schema."""

    SCHEMA_MISSING = "schema_missing"
    """No schema was given: any object is accepted."""
    ROOT_TYPED = "root_typed"
    """The root did not say that it is an object."""
    TYPE_MAPPED = "type_mapped"
    """A type name of another language or dialect became JSON Schema's."""
    TYPE_DROPPED = "type_dropped"
    """A type name that is not understood was dropped: any value is accepted."""
    PROPERTIES_WRAPPED = "properties_wrapped"
    """A bare map or list of parameters became `properties`."""
    REQUIRED_LIFTED = "required_lifted"
    """`required: true` inside a property (draft 3) moved to the object's `required`."""
    NULL_ALLOWED = "null_allowed"
    """`nullable: true` (OpenAPI 3.0) became a type of JSON Schema."""
    ENUM_FITTED = "enum_fitted"
    """No value of an `enum` could fit its `type`; they fit now."""
    OLDER_DRAFT = "older_draft"
    """A keyword of an earlier draft became that of 2020-12."""
    REPAIRED = "repaired"
    """A keyword's value had the wrong shape and was read as it was meant."""
    DROPPED = "dropped"
    """A keyword's value could not be read."""
    REFERENCE_DROPPED = "reference_dropped"
    """A `$ref` pointed at nothing in the schema."""


class Change(Struct, frozen=True):
    """One change, and where: a JSON Pointer (RFC 6901), empty for the root."""

    kind: str
    path: str


class MappedSchema(Struct, frozen=True):
    """A schema in JSON Schema 2020-12, and what was changed to get there."""

    schema: dict[str, Any]
    changes: tuple[Change, ...] = ()


def to_json_schema(schema: object, *, object_root: bool = True) -> MappedSchema:
    """Map a schema of any dialect; a schema that is fine already comes back as the very same object.

    The input is never changed. `object_root=False` is for output schemas, whose root may have any type.

    Raises:
        InvalidDefinition: It is no schema, too deep, too large, points outside of itself, or its root is no object.
    """
    if schema is None:
        return MappedSchema({"type": "object"} if object_root else {}, (Change(ChangeKind.SCHEMA_MISSING.value, ""),))
    check_extent(schema)
    mapped, changes = _map(schema, object_root=object_root)
    error = compile_error(mapped)
    if error is not None:  # a reference that leads nowhere is the usual reason: the second look is at references only
        mapped, more = _map(mapped, object_root=object_root, drop_broken_references=True)
        changes += more
        error = compile_error(mapped)
    if error is not None:
        raise InvalidDefinition(f"the schema is not valid JSON Schema 2020-12: {error}")
    if "$schema" in mapped and compile_error(mapped, validator_for) is not None:
        mapped = mapped | {"$schema": f"{DRAFT_2020_12}schema"}
        changes.append(Change(ChangeKind.OLDER_DRAFT.value, "/$schema"))
    if changes:
        check_extent(mapped)
    check_expansion(mapped)
    return MappedSchema(mapped, tuple(changes))


def _map(
    schema: object, *, object_root: bool, drop_broken_references: bool = False
) -> tuple[dict[str, Any], list[Change]]:
    mapper = _Mapper(schema, object_root=object_root, drop_broken_references=drop_broken_references)
    mapped = mapper.map_document(schema)
    if mapper.foreign_references:
        References(mapped).refuse_outside(mapper.foreign_references)
    return mapped, mapper.changes


class _Mapper:
    """Walks one schema; every method returns the very value it was given where nothing has to change."""

    def __init__(self, document: object, *, object_root: bool, drop_broken_references: bool) -> None:
        self.changes: list[Change] = []
        self.foreign_references: dict[str, str] = {}
        """References that do not begin with #, by the URI they name; the compiler overlooks those in unused $defs."""
        self._path: list[str] = []
        self._base = ""
        """The URI that references are relative to (2020-12 core, 8.2)."""
        self._object_root = object_root
        self._references = References(document) if drop_broken_references else None
        self._declares_draft = isinstance(document, dict) and as_draft(document.get("$schema")) is not DROP

    def map_document(self, document: object) -> dict[str, Any]:
        if document is True:
            self._note(ChangeKind.REPAIRED)
            document = {}
        if isinstance(document, list):
            document = self._parameter_list(document)
        if not isinstance(document, dict):
            raise InvalidDefinition(f"a schema is a JSON object, not {document!r:.100}")
        if document.get("nullable") is True:
            document = self._drop(document, "nullable", ChangeKind.NULL_ALLOWED)
        if _is_property_map(document) or (self._object_root and _is_bare_map(document)):
            document = self._wrap(document)
        mapped = self._object(document)
        if "$schema" in mapped and any(change.kind == ChangeKind.OLDER_DRAFT for change in self.changes):
            mapped = mapped | {"$schema": f"{DRAFT_2020_12}schema"}
        return self._with_object_root(mapped) if self._object_root else mapped

    def _with_object_root(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Arguments are an object, whatever else the root says."""
        declared = schema.get("type")
        if declared == "object":
            return schema
        if declared not in (None, "null") and "object" not in declared and "properties" not in schema:
            raise InvalidDefinition(
                f"the root of the schema has type {declared!r:.100}; a tool's arguments are an object"
            )
        self._note(ChangeKind.ROOT_TYPED)
        if "enum" in schema and not any(fits(value, "object") for value in schema["enum"]):
            schema = self._drop(schema, "enum", ChangeKind.ENUM_FITTED)
        return schema | {"type": "object"} if "type" in schema else {"type": "object"} | schema

    def _note(self, kind: ChangeKind, *more: str) -> None:
        steps = (step.replace("~", "~0").replace("/", "~1") for step in (*self._path, *more))
        self.changes.append(Change(kind.value, "".join(f"/{step}" for step in steps)))

    def _drop(self, node: dict[str, Any], keyword: str, kind: ChangeKind = ChangeKind.DROPPED) -> dict[str, Any]:
        self._note(kind, keyword)
        return _without(node, keyword)

    def _wrap(self, properties: dict[str, Any]) -> dict[str, Any]:
        self._note(ChangeKind.PROPERTIES_WRAPPED)
        return {"type": "object", "properties": properties}

    def _parameter_list(self, parameters: list[Any]) -> dict[str, Any]:
        """A list of parameters, each with its name, as OpenAPI and command lines have them."""
        properties: dict[str, Any] = {}
        for position, parameter in enumerate(parameters):
            if isinstance(parameter, str):
                properties[parameter] = {}
            elif isinstance(parameter, dict) and isinstance(parameter.get("name"), str):
                schema = parameter["schema"] if isinstance(parameter.get("schema"), dict) else {}
                properties[parameter["name"]] = schema | _without(parameter, "name", *(("schema",) if schema else ()))
            else:
                self._note(ChangeKind.DROPPED, str(position))
        return self._wrap(properties)

    def _schema(self, value: Any) -> Any:
        """Map what stands where a schema belongs."""
        if isinstance(value, dict):
            return self._object(self._wrap(value) if _is_property_map(value) else value)
        return value if isinstance(value, bool) else self._shorthand(value)

    def _shorthand(self, value: Any) -> dict[str, Any]:
        """`"city": "string"` is a type, `"city": "where to look"` a description; anything else says nothing."""
        self._note(ChangeKind.REPAIRED)
        fragment = read_types(value)
        if fragment is not None:
            return self._object(fragment)
        return {"description": value} if isinstance(value, str) else {}

    def _object(self, node: dict[str, Any]) -> dict[str, Any]:
        """Map one schema object: what it says in another dialect, then its members, then what concerns them both."""
        if "type" in node:
            node = self._type(node)
        if isinstance(node.get("properties"), dict | list):
            node = self._properties(node)
        if "required" in node:
            node = self._required(node)
        if isinstance(node.get("items"), list):
            node = self._items(node)
        if isinstance(node.get("exclusiveMinimum"), bool):
            node = self._exclusive(node, "exclusiveMinimum", "minimum")
        if isinstance(node.get("exclusiveMaximum"), bool):
            node = self._exclusive(node, "exclusiveMaximum", "maximum")
        if "$id" in node:
            node = self._identifier(node)
        outer = self._base
        self._base = base_of(node, outer)
        node = self._members(node)
        self._base = outer
        if self._declares_draft:
            return node
        if "enum" in node:
            node = self._enum(node)
        return self._nullable(node) if node.get("nullable") is True else node

    def _type(self, node: dict[str, Any]) -> dict[str, Any]:
        declared = node["type"]
        if isinstance(declared, str) and declared in JSON_TYPES:
            return node
        if is_names(declared) and declared and JSON_TYPES.issuperset(declared):
            return node
        while isinstance(node.get("type"), dict):  # draft 3 allows a schema here
            rest = _without(node, "type")
            node = {key: value for key, value in node["type"].items() if key not in rest} | rest
        fragment = read_types(node.get("type", []))
        self._note(ChangeKind.TYPE_DROPPED if fragment is None else ChangeKind.TYPE_MAPPED, "type")
        if fragment is None:
            fragment = _type_by_content(node)
        return _replace(
            node, "type", {key: value for key, value in fragment.items() if key == "type" or key not in node}
        )

    def _properties(self, node: dict[str, Any]) -> dict[str, Any]:
        """`properties` given as a list, with `required` among them, or with `required: true` inside of them."""
        properties = node["properties"]
        if isinstance(properties, list):
            properties = self._parameter_list(properties)["properties"]
            node = node | {"properties": properties}
        stray = properties.get("required")
        if isinstance(stray, list) and "required" not in node and all(name in properties for name in texts(stray)):
            self._note(ChangeKind.REPAIRED, "properties", "required")
            properties = _without(properties, "required")
            node = node | {"properties": properties, "required": stray}
        flagged = [name for name, member in properties.items() if isinstance(member, dict) and _is_required(member)]
        listed = node["required"] if isinstance(node.get("required"), list) else []
        missing = [name for name in flagged if name not in listed]
        return node | {"required": listed + missing} if missing else node

    def _required(self, node: dict[str, Any]) -> dict[str, Any]:
        """A flag has been read by the object around this one, on its way here."""
        required = node["required"]
        if _is_required(node) is not None:
            return self._drop(node, "required", ChangeKind.REQUIRED_LIFTED)
        properties = node.get("properties")
        if isinstance(required, str) and not (isinstance(properties, dict) and required in properties):
            return self._drop(node, "required")
        return node

    def _items(self, node: dict[str, Any]) -> dict[str, Any]:
        """A list of schemas in `items` is `prefixItems` since 2020-12, and `additionalItems` is `items`."""
        items = node["items"]
        if items and all(isinstance(item, str) for item in items) and read_types(items) is not None:
            return node  # a list of type names: a shorthand
        self._note(ChangeKind.OLDER_DRAFT, "items")
        instead: dict[str, Any] = {"prefixItems": items} if items and "prefixItems" not in node else {}
        if "additionalItems" in node:
            instead["items"] = node["additionalItems"]
        return _replace(_without(node, "additionalItems"), "items", instead)

    def _exclusive(self, node: dict[str, Any], exclusive: str, inclusive: str) -> dict[str, Any]:
        """In draft 4 and OpenAPI 3.0 an exclusive limit is a flag beside the limit."""
        self._note(ChangeKind.OLDER_DRAFT, exclusive)
        if not node[exclusive] or inclusive not in node:
            return _without(node, exclusive)
        return _replace(_without(node, inclusive), exclusive, {exclusive: node[inclusive]})

    def _identifier(self, node: dict[str, Any]) -> dict[str, Any]:
        """`$id: "#name"` is an anchor since 2019-09."""
        identifier = node["$id"]
        if not isinstance(identifier, str) or identifier[:1] != "#" or not ANCHOR.fullmatch(identifier[1:]):
            return node
        self._note(ChangeKind.OLDER_DRAFT, "$id")
        return _replace(node, "$id", {} if "$anchor" in node else {"$anchor": identifier[1:]})

    def _members(self, node: dict[str, Any]) -> dict[str, Any]:
        """Map the value of each keyword, in order."""
        result: dict[str, Any] = {}
        same = True
        for keyword, value in node.items():
            self._path.append(keyword)
            mapped = self._member(keyword, value)
            self._path.pop()
            if mapped is not DROP:
                result[keyword] = mapped
            same = same and mapped is value
        return node if same else result

    def _member(self, keyword: str, value: Any) -> Any:
        if keyword in SCHEMAS:
            return self._schema_or_flag(value)
        if keyword in SCHEMA_MAPS:
            return self._schema_map(keyword, value)
        if keyword in SCHEMA_LISTS:
            return self._schema_list(value)
        if keyword == "dependencies":
            return self._dependencies(value)
        if keyword in ("$ref", "$dynamicRef") and isinstance(value, str):
            return self._reference(value)
        mapped = read_value(keyword, value)
        if mapped is not value:
            self._note(ChangeKind.DROPPED if mapped is DROP else ChangeKind.REPAIRED)
        return mapped

    def _reference(self, value: str) -> Any:
        if self._references and self._references.is_broken(value, self._base):
            self._note(ChangeKind.REFERENCE_DROPPED)
            return DROP
        if value and not value.startswith("#"):
            self.foreign_references[resource_of(value, self._base)] = value
        return value

    def _schema_or_flag(self, value: Any) -> Any:
        if value is None:
            self._note(ChangeKind.DROPPED)
            return DROP
        flag = as_flag(value)
        if flag is DROP or flag is value:
            return self._schema(value)
        self._note(ChangeKind.REPAIRED)
        return flag

    def _schema_map(self, keyword: str, value: Any) -> Any:
        if not isinstance(value, dict):
            self._note(ChangeKind.DROPPED)
            return DROP
        result: dict[str, Any] = {}
        same = True
        for name, member in value.items():
            self._path.append(name)
            if keyword == "patternProperties" and as_pattern(name) is DROP:
                self._note(ChangeKind.DROPPED)
                same = False
            else:
                result[name] = self._schema(member)
                same = same and result[name] is member
            self._path.pop()
        return value if same else result

    def _schema_list(self, value: Any) -> Any:
        if isinstance(value, dict):
            self._note(ChangeKind.REPAIRED)
            value = [value]
        if not isinstance(value, list) or not value:
            self._note(ChangeKind.DROPPED)
            return DROP
        result = []
        for position, member in enumerate(value):
            self._path.append(str(position))
            result.append(self._schema(member))
            self._path.pop()
        return value if all(new is old for new, old in zip(result, value, strict=True)) else result

    def _dependencies(self, value: Any) -> Any:
        """Of drafts up to 7, and still described by 2020-12: a list of names, or a schema, for each property."""
        if not isinstance(value, dict):
            self._note(ChangeKind.DROPPED)
            return DROP
        result: dict[str, Any] = {}
        for name, member in value.items():
            self._path.append(name)
            result[name] = as_names(member) if isinstance(member, list) else self._schema(member)
            if isinstance(member, list) and result[name] is not member:
                self._note(ChangeKind.REPAIRED)
            self._path.pop()
        return value if all(result[name] is member for name, member in value.items()) else result

    def _enum(self, node: dict[str, Any]) -> dict[str, Any]:
        """Values that cannot fit the type are meant for the items, or were written as text, or the type is wrong."""
        values, declared = node["enum"], node.get("type")
        if not values:
            return self._drop(node, "enum", ChangeKind.ENUM_FITTED)
        if declared is None or any(fits(value, declared) for value in values):
            return node
        self._note(ChangeKind.ENUM_FITTED, "enum")
        items = node.get("items", {})
        if declared == "array" and isinstance(items, dict) and "enum" not in items:
            allowed = items.get("type", JSON_TYPES)
            if any(fits(value, allowed) for value in values):
                return _replace(_without(node, "items"), "enum", {"items": items | {"enum": values}})
        said = [from_text(value, declared) for value in values]
        if DROP not in said:
            return node | {"enum": said}
        kinds = list(dict.fromkeys(type_of(value) for value in values))
        return node | {"type": kinds[0] if len(kinds) == 1 else kinds}

    def _nullable(self, node: dict[str, Any]) -> dict[str, Any]:
        node = self._drop(node, "nullable", ChangeKind.NULL_ALLOWED)
        if "enum" in node and None not in node["enum"]:
            node = node | {"enum": [*node["enum"], None]}
        declared = node.get("type")
        if declared is not None:
            kinds = [declared] if isinstance(declared, str) else declared
            return node if "null" in kinds else node | {"type": [*kinds, "null"]}
        for keyword in ("anyOf", "oneOf"):
            if keyword in node:
                branches = node[keyword]
                return node if {"type": "null"} in branches else node | {keyword: [*branches, {"type": "null"}]}
        for keyword in ("$ref", "allOf"):
            if keyword in node:
                return _replace(node, keyword, {"anyOf": [{keyword: node[keyword]}, {"type": "null"}]})
        return node


def _is_property_map(node: dict[str, Any]) -> bool:
    """Whether it maps names to schemas where a schema belongs: a keyword like "type" then holds what it never may."""
    return all(isinstance(value, dict) for value in node.values()) and not NEVER_OBJECTS.isdisjoint(node)


def _is_bare_map(node: dict[str, Any]) -> bool:
    """Whether a root without one keyword holds nothing but schemas and names of types."""
    return bool(node) and KEYWORDS.isdisjoint(node) and all(_looks_like_schema(value) for value in node.values())


def _looks_like_schema(value: Any) -> bool:
    if isinstance(value, dict):
        return not KEYWORDS.isdisjoint(value)
    return isinstance(value, str) and read_type(value) is not None


def _is_required(property_: dict[str, Any]) -> bool | None:
    """What `required: true` (draft 3) or `"true"` says; None where `required` is absent or a list."""
    flag = as_flag(property_.get("required"))
    return flag if isinstance(flag, bool) else None


def _type_by_content(node: dict[str, Any]) -> dict[str, Any]:
    """`{"type": "Address", "properties": ...}`: the other keywords say what the name does not."""
    if "properties" in node:
        return {"type": "object"}
    return {"type": "array"} if "items" in node else {}


def _without(node: dict[str, Any], *keywords: str) -> dict[str, Any]:
    return {keyword: value for keyword, value in node.items() if keyword not in keywords}


def _replace(node: dict[str, Any], keyword: str, instead: dict[str, Any]) -> dict[str, Any]:
    """Put other keywords in the place of one."""
    result: dict[str, Any] = {}
    for key, value in node.items():
        result |= instead if key == keyword else {key: value}
    return result
