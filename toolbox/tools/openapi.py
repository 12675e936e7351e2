"""An OpenAPI document (3.0 or 3.1) becomes HTTP tools, one for each operation. Pure module: nothing is ever fetched.

Parameters and the fields of a body are the tool's arguments; who is calling comes from named secrets, whose names are
given back. An operation that cannot be a tool is reported, and costs no other.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote, urljoin

from msgspec import Struct

from toolbox.definitions import ToolAnnotations, ToolDefinition, shorten_name, unique_name
from toolbox.errors import InvalidDefinition
from toolbox.tools.dialects import to_json_schema

MAX_DESCRIPTION: Final = 1_000
MAX_TITLE: Final = 100
METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch")
_READ_ONLY = frozenset({"get", "head", "options"})
_IDEMPOTENT = _READ_ONLY | {"put", "delete"}
_IGNORED_HEADERS = frozenset({"accept", "content-type", "authorization"})
"""OpenAPI 3.1, 4.8.12.2.1: described elsewhere in the document."""
_ANNOTATIONS = frozenset({"xml", "discriminator", "externalDocs", "example", "examples"})
"""Keywords of schemas that say nothing about which values are right, and are long."""
_MAX_REFERENCES = 100

Object = dict[str, Any]


class OpenApiTool(Struct, frozen=True):
    """An operation as a tool; the id, method and path, says which it is whatever its name becomes."""

    id: str
    definition: ToolDefinition
    implementation: Object


class SkippedOperation(Struct, frozen=True):
    """An operation that is no tool, and why."""

    id: str
    reason: str


class OpenApiTools(Struct, frozen=True):
    """What a document holds, in its order."""

    title: str
    tools: tuple[OpenApiTool, ...]
    skipped: tuple[SkippedOperation, ...]
    secrets: tuple[str, ...]
    """The names of the secrets that the tools refer to."""


def read_openapi(
    document: Object,
    *,
    source: str,
    base_url: str | None = None,
    server: str | None = None,
    taken: Collection[str] = (),
    names_by_id: Mapping[str, str] | None = None,
) -> OpenApiTools:
    """The tools of a document.

    Args:
        document: As `toolbox.tools.openapi_documents.parse_document` gives it back.
        source: A short name; it leads the names of tools and of secrets.
        base_url: Where the document came from, which relative servers are relative to.
        server: The URL of the API, instead of the document's.
        taken: All names in use.
        names_by_id: The names that operations of this source have already: importing again never renames.
    """
    reader = _Reader(document, shorten_name(source), base_url, server)
    known, names = names_by_id or {}, {*taken}
    tools, skipped = list[OpenApiTool](), list[SkippedOperation]()
    for path, item, method, operation in reader.operations():
        id_ = f"{method.upper()} {path}"
        try:
            _require_object(operation)
            name = known.get(id_) or unique_name(reader.name_operation(operation, method, path), names)
            tools.append(reader.read(id_, name, path, item, method, operation))
            names.add(name)
        except InvalidDefinition as error:
            skipped.append(SkippedOperation(id_, error.message))
    return OpenApiTools(reader.title, tuple(tools), tuple(skipped), tuple(sorted(reader.secrets)))


class _Reader:
    def __init__(self, document: Object, source: str, base_url: str | None, server: str | None) -> None:
        self._document = document
        self._source = source
        self._base_url = base_url
        self._server = server
        self.title = str(_object(document.get("info")).get("title") or source)
        self.secrets = set[str]()

    def operations(self) -> Iterator[tuple[str, Object, str, Any]]:
        """Path, path item, method and operation, in the document's order."""
        for path, item in _object(self._document.get("paths")).items():
            try:
                resolved = _object(self._resolve(item))
            except InvalidDefinition:
                continue
            for method in METHODS:
                if method in resolved:
                    yield path, resolved, method, resolved[method]

    def name_operation(self, operation: Object, method: str, path: str) -> str:
        """The source's name, and the operation's own or else its method and path."""
        own = str(operation.get("operationId") or f"{method}_{re.sub('[{}]', '', path).strip('/')}")
        own = re.sub(r"[^A-Za-z0-9_-]+", "_", own).strip("_")
        return own if own.startswith(f"{self._source}_") else f"{self._source}_{own}"

    def read(self, id_: str, name: str, path: str, item: Object, method: str, operation: Object) -> OpenApiTool:
        """An operation.

        Raises:
            InvalidDefinition: It cannot be a tool; says why.
        """
        request = _Request(method, self._find_server(operation, item) + _escape_path(path))
        for parameter in self._parameters(item, operation):
            self._add_parameter(request, parameter)
        self._add_body(request, operation)
        self._add_auth(request, operation)
        request.check_path()
        schema = self._complete_schema(request)
        description, long_description = _describe(operation, item, id_)
        summary = str(operation.get("summary") or "").strip()
        definition = ToolDefinition(
            name=name,
            title=summary if summary and len(summary) <= MAX_TITLE and "://" not in summary else None,
            description=description,
            long_description=long_description,
            category=self._source,
            tags=tuple(dict.fromkeys(str(tag) for tag in operation.get("tags") or () if tag)),
            input_schema=schema,
            annotations=ToolAnnotations(
                read_only_hint=method in _READ_ONLY,
                destructive_hint=method in {"delete", "put", "patch"},
                idempotent_hint=method in _IDEMPOTENT,
                open_world_hint=True,
            ),
            metadata={"id": id_} | ({"deprecated": True} if operation.get("deprecated") is True else {}),
        )
        return OpenApiTool(id_, definition, request.to_implementation())

    def _resolve(self, value: Any) -> Any:
        """What a reference within the document leads to; whatever stands beside it wins (3.1, 4.8.23)."""
        beside: Object = {}
        for _ in range(_MAX_REFERENCES):
            if not isinstance(value, dict) or not isinstance(value.get("$ref"), str):
                return {**value, **beside} if isinstance(value, dict) else value
            beside = {key: member for key, member in value.items() if key in {"summary", "description"}} | beside
            value = self._follow(value["$ref"])
        raise InvalidDefinition("its references go in circles")

    def _follow(self, reference: str) -> Any:
        if not reference.startswith("#/"):
            raise InvalidDefinition(f"it refers to another document, {reference[:200]!r}: nothing is fetched")
        value: Any = self._document
        for part in reference[2:].split("/"):
            key = _unescape(part)
            if isinstance(value, dict) and key in value:
                value = value[key]
            elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
                value = value[int(key)]
            else:
                raise InvalidDefinition(f"there is nothing at {reference[:200]!r}")
        return value

    def _find_server(self, operation: Object, item: Object) -> str:
        if self._server:
            return self._server.rstrip("/")
        servers = next((place["servers"] for place in (operation, item, self._document) if place.get("servers")), None)
        first = _object(servers[0]) if isinstance(servers, list) and servers else {"url": "/"}
        variables = _object(first.get("variables"))
        url = re.sub(
            r"\{([^{}]+)\}",
            lambda variable: str(_object(variables.get(variable[1])).get("default", variable[0])),
            str(first.get("url") or "/"),
        )
        url = urljoin(self._base_url or "", url).rstrip("/")
        if not url.startswith(("http://", "https://")):
            raise InvalidDefinition(f"its server {url[:200]!r} is no http or https URL: name the API's with --server")
        return url

    def _parameters(self, item: Object, operation: Object) -> list[Object]:
        """Those of the path and of the operation, which win."""
        found = dict[tuple[str, str], Object]()
        for place in (item, operation):
            for given in place.get("parameters") or ():
                parameter = _object(self._resolve(given))
                found[str(parameter.get("name")), str(parameter.get("in"))] = parameter
        return list(found.values())

    def _add_parameter(self, request: "_Request", parameter: Object) -> None:
        name, place = str(parameter.get("name") or ""), str(parameter.get("in"))
        if place not in {"path", "query", "header", "cookie"}:
            raise InvalidDefinition(f"its parameter {name[:100]!r} is in {place[:50]!r}, which is no place")
        if place == "header" and name.lower() in _IGNORED_HEADERS:
            return
        content = _object(parameter.get("content"))
        schema = _object(next(iter(content.values()))).get("schema", {}) if content else parameter.get("schema", {})
        described = _with_description(schema, parameter.get("description"))
        is_required = parameter.get("required") is True or place == "path"
        argument = request.add_argument(name, place, described, is_required=is_required)
        style = "json" if content else _read_style(parameter, place)
        request.place_parameter(place, name, argument, style)

    def _add_body(self, request: "_Request", operation: Object) -> None:
        given = _object(self._resolve(operation.get("requestBody")))
        content = _object(given.get("content"))
        if not content:
            return
        media_type = min(content, key=_prefer)
        form = media_type.partition(";")[0].strip().lower()
        schema = _object(content[media_type]).get("schema", {})
        is_required = given.get("required") is True
        whole = self._flatten(schema)
        if form == "application/json" or form.endswith("+json") or form == "*/*":
            request.json_body(media_type, schema, whole, given, is_required=is_required)
        elif form == "application/x-www-form-urlencoded":
            request.form_body(schema, whole, given, is_required=is_required)
        elif form == "multipart/form-data":
            request.multipart_body(whole or {}, _object(_object(content[media_type]).get("encoding")), self._resolve)
        else:
            request.raw_body(media_type, given, is_required=is_required)

    def _flatten(self, schema: Any) -> Object | None:
        """An object's own properties, where the schema is nothing but such an object: they become arguments."""
        resolved = _object(self._resolve(schema))
        parts = resolved.get("allOf")
        if isinstance(parts, list) and not resolved.keys() & {"anyOf", "oneOf", "not", "if", "properties"}:
            flat = [self._flatten(part) for part in parts]
            if not flat or any(part is None for part in flat):
                return None
            merged = {
                name: member for part in flat for name, member in _object(_object(part).get("properties")).items()
            }
            required = [name for part in flat for name in _object(part).get("required") or ()]
            return {"properties": merged, "required": required}
        if resolved.keys() & {"anyOf", "oneOf", "not", "if", "patternProperties", "allOf"}:
            return None
        if resolved.get("additionalProperties") not in (None, False) or not _object(resolved.get("properties")):
            return None
        return resolved

    def _add_auth(self, request: "_Request", operation: Object) -> None:
        required = operation.get("security", self._document.get("security"))
        choices = [choice for choice in required if isinstance(choice, dict)] if isinstance(required, list) else []
        if not choices or all(not choice for choice in choices):
            return
        reasons = []
        for choice in sorted((choice for choice in choices if choice), key=len):
            try:
                schemes = {name: self._find_scheme(name) for name in choice}
                for name, scheme in schemes.items():
                    self._add_scheme(request, name, scheme, choice[name])
            except InvalidDefinition as error:
                reasons.append(error.message)
                continue
            return
        raise InvalidDefinition("; ".join(reasons))

    def _find_scheme(self, name: str) -> Object:
        schemes = _object(_object(self._document.get("components")).get("securitySchemes"))
        scheme = _object(self._resolve(schemes.get(name)))
        if scheme.get("type") not in {"http", "apiKey", "oauth2", "openIdConnect"}:
            raise InvalidDefinition(f"its security scheme {name[:100]!r} is not understood: {scheme.get('type')!s:.50}")
        return scheme

    def _add_scheme(self, request: "_Request", name: str, scheme: Object, scopes: Any) -> None:
        if scheme["type"] == "apiKey":
            place, key = str(scheme.get("in")), str(scheme.get("name"))
            request.add_auth({"type": "api_key", "in": place, "name": key, "value": self._secret(name)})
        elif scheme["type"] == "http" and str(scheme.get("scheme")).lower() == "basic":
            username, password = self._secret(name, "username"), self._secret(name, "password")
            request.add_auth({"type": "basic", "username": username, "password": password})
        elif flow := _object(_object(scheme.get("flows")).get("clientCredentials")):
            request.add_auth(
                {
                    "type": "oauth2_client_credentials",
                    "token_url": urljoin(self._base_url or request.server, str(flow.get("tokenUrl") or "")),
                    "client_id": self._secret(name, "client_id"),
                    "client_secret": self._secret(name, "client_secret"),
                    "scopes": [str(scope) for scope in scopes] if isinstance(scopes, list) else [],
                }
            )
        else:
            request.add_auth({"type": "bearer", "token": self._secret(name)})

    def _secret(self, *parts: str) -> str:
        name = re.sub(r"[^A-Za-z0-9_.-]+", "_", ".".join((self._source, *parts)))
        name = name if len(name) <= 64 else f"{name[:31]}_{name[-32:]}"
        self.secrets.add(name)
        return f"${{secret:{name}}}"

    def _complete_schema(self, request: "_Request") -> Object:
        """The input schema, with all that it refers to."""
        definitions: Object = {}
        pending = [request.schema()]
        root = _rewrite(pending[0], definitions)
        done: Object = {}
        while waiting := [reference for reference in definitions if reference not in done]:
            for reference in waiting:
                done[reference] = _rewrite(self._follow(reference), definitions)
        if done:
            root["$defs"] = {definitions[reference]: schema for reference, schema in done.items()}
        return to_json_schema(root).schema


class _Request:
    """A request that is being put together."""

    def __init__(self, method: str, url: str) -> None:
        self._method = method.upper()
        self.server = url
        self._url = url
        self._properties: Object = {}
        self._required = list[str]()
        self._query: Object = {}
        self._headers: Object = {}
        self._cookies: Object = {}
        self._body: Object | None = None
        self._auth: Object | None = None

    def add_argument(self, name: str, place: str, schema: Any, *, is_required: bool) -> str:
        """An argument of this name, or with its place behind it where that is taken; and braces never."""
        argument = re.sub(r"[{}]", "_", name)[:150] or place
        if argument in self._properties:
            argument = unique_name(f"{argument}_{place}"[:60], self._properties)
        self._properties[argument] = schema if isinstance(schema, dict | bool) else {}
        if is_required:
            self._required.append(argument)
        return argument

    def place_parameter(self, place: str, name: str, argument: str, style: str) -> None:
        """Say where an argument goes."""
        value = f"{{{argument}}}"
        if place == "path":
            self._url = self._url.replace(f"{{{name}}}", value)
        elif place == "query":
            self._query[name] = value if style == "repeat" else {"value": value, "style": style}
        elif place == "header":
            self._headers[name] = value if style != "json" else {"value": value, "style": "json"}
        else:
            self._cookies[name] = value

    def json_body(
        self, media_type: str, schema: Any, whole: Object | None, given: Object, *, is_required: bool
    ) -> None:
        """A JSON body: an object's fields, or one argument."""
        content_type = "application/json" if "*" in media_type else media_type
        self._body = {"type": "json", "value": "{body}", "content_type": content_type}
        if whole is None:
            self._body["value"] = f"{{{self._add_whole(schema, given, is_required=is_required)}}}"
        else:
            self._body["value"] = {
                name: f"{{{argument}}}" for name, argument in self._add_fields(whole, is_required=is_required)
            }

    def form_body(self, schema: Any, whole: Object | None, given: Object, *, is_required: bool) -> None:
        """A form: an object's fields, or one argument whose members are the fields."""
        if whole is None:
            argument = self._add_whole(schema, given, is_required=is_required)
            self._body = {"type": "form", "fields": {}, "all_of": f"{{{argument}}}"}
        else:
            fields = {name: f"{{{argument}}}" for name, argument in self._add_fields(whole, is_required=is_required)}
            self._body = {"type": "form", "fields": fields}

    def multipart_body(self, whole: Object, encoding: Object, resolve: Any) -> None:
        """A form with files; what is binary is an argument in base64."""
        properties = _object(whole.get("properties"))
        if not properties:
            raise InvalidDefinition("its multipart body has no fields that are known")
        files = {name for name, schema in properties.items() if _is_binary(_object(resolve(schema)))}
        shown = {
            name: _base64_schema(_object(resolve(schema))) if name in files else schema
            for name, schema in properties.items()
        }
        fields: Object = {}
        for name, argument in self._add_fields({**whole, "properties": shown}, is_required=True):
            fields[name] = f"{{{argument}}}"
            if name in files:
                content_type = str(_object(encoding.get(name)).get("contentType") or "application/octet-stream")
                fields[name] = {
                    "value": f"{{{argument}}}",
                    "filename": name,
                    "content_type": content_type.split(",")[0].strip().replace("*", "octet-stream"),
                    "encoding": "base64",
                }
        self._body = {"type": "multipart", "fields": fields}

    def raw_body(self, media_type: str, given: Object, *, is_required: bool) -> None:
        """Text, or bytes in base64."""
        is_text = media_type.startswith("text/") or "xml" in media_type or "yaml" in media_type
        schema: Object = {"type": "string"} | ({} if is_text else {"contentEncoding": "base64"})
        what = str(given.get("description") or f"The body, {media_type}").strip()
        argument = self.add_argument("body", "body", schema | {"description": what}, is_required=is_required)
        encoding = "text" if is_text else "base64"
        content_type = "application/octet-stream" if "*" in media_type else media_type
        self._body = {"type": "raw", "value": f"{{{argument}}}", "content_type": content_type, "encoding": encoding}

    def add_auth(self, auth: Object) -> None:
        """Say who is calling; what comes second goes among headers and query."""
        if self._auth is None:
            self._auth = auth
        elif auth["type"] == "api_key":
            place = {"header": self._headers, "query": self._query, "cookie": self._cookies}.get(auth["in"])
            if place is None:
                raise InvalidDefinition(f"its key is in {auth['in']!s:.50}, which is no place")
            place[auth["name"]] = auth["value"]
        elif self._auth["type"] == "api_key":
            first, self._auth = self._auth, auth
            self.add_auth(first)
        else:
            raise InvalidDefinition(f"it wants {self._auth['type']} and {auth['type']} at once")

    def check_path(self) -> None:
        """Refuse a path with places that no parameter fills."""
        missing = [name for name in re.findall(r"\{([^{}]+)\}", self._url) if name not in self._properties]
        if missing:
            raise InvalidDefinition(f"its path has {missing[0][:100]!r}, which no parameter describes")

    def schema(self) -> Object:
        """What callers give."""
        schema: Object = {"type": "object", "properties": self._properties, "additionalProperties": False}
        return schema | ({"required": sorted(set(self._required), key=self._required.index)} if self._required else {})

    def to_implementation(self) -> Object:
        """As `HttpImplementation` reads it."""
        given: Object = {"kind": "http", "method": self._method, "url": self._url}
        parts = {"query": self._query, "headers": self._headers, "cookies": self._cookies}
        given |= {name: part for name, part in parts.items() if part}
        return given | {name: part for name, part in (("body", self._body), ("auth", self._auth)) if part}

    def _add_whole(self, schema: Any, given: Object, *, is_required: bool) -> str:
        described = _with_description(schema, given.get("description"))
        return self.add_argument("body", "body", described, is_required=is_required)

    def _add_fields(self, whole: Object, *, is_required: bool) -> Iterator[tuple[str, str]]:
        required = whole.get("required") or ()
        for name, schema in _object(whole.get("properties")).items():
            if isinstance(schema, dict) and schema.get("readOnly") is True:
                continue
            yield name, self.add_argument(name, "body", schema, is_required=is_required and name in required)


def _rewrite(value: Any, definitions: Object) -> Any:
    """A schema with references into its own `$defs`, and without what only decorates."""
    if isinstance(value, list):
        return [_rewrite(member, definitions) for member in value]
    if not isinstance(value, dict):
        return value
    rewritten = {
        name: {key: _rewrite(member, definitions) for key, member in part.items()}
        if name in {"properties", "patternProperties", "$defs", "dependentSchemas"} and isinstance(part, dict)
        else part
        if name in {"enum", "const", "default", "required"}
        else _rewrite(part, definitions)
        for name, part in value.items()
        if not (name in _ANNOTATIONS or name.startswith("x-"))
    }
    reference = value.get("$ref")
    if isinstance(reference, str):
        if reference not in definitions:
            definitions[reference] = unique_name(_unescape(reference.rpartition("/")[2]), set(definitions.values()))
        rewritten["$ref"] = f"#/$defs/{definitions[reference]}"
    return rewritten


def _with_description(schema: Any, description: Any) -> Any:
    if not isinstance(description, str) or not description.strip() or not isinstance(schema, dict):
        return schema
    return {**schema, "description": description.strip()}


def _describe(operation: Object, item: Object, id_: str) -> tuple[str, str | None]:
    """One line that says what it does, and all of it if that is longer."""
    own = [str(operation.get(key) or "").strip() for key in ("description", "summary")]
    whole = next(
        (text for text in (*own, str(item.get("description") or item.get("summary") or "").strip()) if text), id_
    )
    line = " ".join(whole.split())
    return (line, None) if len(line) <= MAX_DESCRIPTION else (f"{line[: MAX_DESCRIPTION - 4]} ...", whole)


def _read_style(parameter: Object, place: str) -> str:
    """How lists and objects are written (OpenAPI 3.1, 4.8.12.6)."""
    style = str(parameter.get("style") or {"query": "form", "cookie": "form"}.get(place, "simple"))
    if place in {"path", "header"}:
        if style != "simple":
            raise InvalidDefinition(f"its parameter {parameter.get('name')!s:.100} has the style {style[:50]!r}")
        return "comma"
    explode = parameter.get("explode", style == "form")
    styles = {"form": "repeat" if explode else "comma", "spaceDelimited": "space", "pipeDelimited": "pipe"}
    styles |= {"deepObject": "deep_object"}
    if style not in styles:
        raise InvalidDefinition(f"its parameter {parameter.get('name')!s:.100} has the style {style[:50]!r}")
    return styles[style]


def _prefer(media_type: str) -> int:
    """JSON before forms, and what an agent can write before what it cannot."""
    form = media_type.partition(";")[0].strip().lower()
    order = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain")
    if form in order:
        return order.index(form)
    return 0 if form.endswith("+json") else 5


def _is_binary(schema: Object) -> bool:
    return schema.get("format") in {"binary", "byte"} or "contentMediaType" in schema or "contentEncoding" in schema


def _base64_schema(schema: Object) -> Object:
    kept: Object = {name: schema[name] for name in ("description", "title") if name in schema}
    return {"type": "string", "contentEncoding": "base64"} | kept


def _escape_path(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"


def _unescape(part: str) -> str:
    return unquote(part).replace("~1", "/").replace("~0", "~")


def _require_object(operation: Any) -> None:
    if not isinstance(operation, dict):
        raise InvalidDefinition("it is no object")


def _object(value: Any) -> Object:
    return value if isinstance(value, dict) else {}
