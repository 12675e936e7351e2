"""OpenAPI documents as tools: what is sent for each kind of operation, and what hostile documents come to."""

import asyncio
import json
import os
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from tests.tools.stubs import MemorySecrets, StubServer, make_context, stub_server
from tests.tools.test_http import request, sent
from toolbox.addresses import AddressPolicy
from toolbox.cli.main import toolbox
from toolbox.errors import InvalidDefinition
from toolbox.outbound import Outbound
from toolbox.services import Services
from toolbox.tools.arguments import compile_schema, find_violations
from toolbox.tools.http import HttpKind
from toolbox.tools.kinds import Kinds
from toolbox.tools.openapi import METHODS, OpenApiTool, read_openapi
from toolbox.tools.openapi_documents import parse_document
from toolbox.tools.openapi_import import import_openapi

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "openapi"

TEXT = {"type": "string"}
DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Zoo", "version": "1"},
    "servers": [{"url": "https://{at}.zoo.example/v{n}", "variables": {"at": {"default": "eu"}, "n": {"default": 1}}}],
    "security": [{"token": []}],
    "components": {
        "securitySchemes": {
            "token": {"type": "http", "scheme": "bearer"},
            "login": {"type": "http", "scheme": "basic"},
            "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
            "more": {"type": "apiKey", "in": "query", "name": "more"},
            "crumb": {"type": "apiKey", "in": "cookie", "name": "crumb"},
            "app": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "/token", "scopes": {}}}},
            "cert": {"type": "mutualTLS"},
        },
        "parameters": {"Id": {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}},
        "schemas": {
            "Animal": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "id": {"type": "integer", "readOnly": True},
                    "name": {**TEXT, "example": "Rex"},
                    "parents": {"type": "array", "items": {"$ref": "#/components/schemas/Animal"}},
                },
            },
            "Either": {"oneOf": [{"$ref": "#/components/schemas/Animal"}, TEXT]},
        },
    },
    "paths": {
        "/animals": {
            "parameters": [{"name": "trace", "in": "header", "schema": TEXT}],
            "get": {
                "operationId": "listAnimals",
                "summary": "List animals",
                "parameters": [
                    {"name": "kinds", "in": "query", "schema": {"type": "array", "items": TEXT}},
                    {"name": "tags", "in": "query", "explode": False, "schema": {"type": "array", "items": TEXT}},
                    {"name": "where", "in": "query", "style": "deepObject", "schema": {"type": "object"}},
                    {"name": "filter", "in": "query", "content": {"application/json": {"schema": {"type": "object"}}}},
                    {"name": "Authorization", "in": "header", "schema": TEXT},
                    {"name": "session", "in": "cookie", "schema": TEXT},
                ],
                "security": [],
            },
            "post": {
                "operationId": "addAnimal",
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/xml": {"schema": {}},
                        "application/json": {"schema": {"$ref": "#/components/schemas/Animal"}},
                    },
                },
            },
        },
        "/animals/{id}": {
            "parameters": [{"$ref": "#/components/parameters/Id"}],
            "get": {"operationId": "getAnimal", "security": [{"cert": []}, {"key": []}]},
            "head": {"operationId": "hasAnimal", "security": [{"crumb": []}]},
            "options": {"operationId": "optionsOfAnimal", "security": [{"key": [], "more": []}]},
            "delete": {"operationId": "removeAnimal", "deprecated": True, "security": [{"login": []}]},
            "put": {
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Either"}}}},
            },
            "patch": {
                "operationId": "renameAnimal",
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/x-www-form-urlencoded": {
                            "schema": {
                                "type": "object",
                                "required": ["id"],
                                "properties": {"id": TEXT, "names": {"type": "array", "items": TEXT}},
                            }
                        }
                    },
                },
            },
        },
        "/photos/{id}": {
            "post": {
                "operationId": "addPhoto",
                "parameters": [{"$ref": "#/components/parameters/Id"}],
                "requestBody": {
                    "content": {
                        "multipart/form-data": {
                            "schema": {
                                "type": "object",
                                "required": ["photo"],
                                "properties": {"title": TEXT, "photo": {"type": "string", "format": "binary"}},
                            },
                            "encoding": {"photo": {"contentType": "image/png, image/jpeg"}},
                        }
                    }
                },
            },
            "put": {
                "operationId": "replacePhoto",
                "parameters": [{"$ref": "#/components/parameters/Id"}],
                "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {}}}},
            },
        },
        "/notes": {
            "post": {
                "operationId": "addNote",
                "requestBody": {"required": True, "content": {"text/plain": {"schema": TEXT}}},
                "security": [{"token": []}, {}],
            },
            "put": {
                "operationId": "anyForm",
                "requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}},
            },
        },
    },
}  # fmt: skip

SECRETS = MemorySecrets(
    **{"zoo.token": "t0k3n", "zoo.key": "k3y", "zoo.more": "m0re", "zoo.crumb": "crumb", "zoo.login.username": "ann"},
    **{"zoo.login.password": "pw"},
)


def tools(**changed: Any) -> dict[str, OpenApiTool]:
    found = read_openapi(DOCUMENT, source="zoo", **changed)
    assert found.skipped == ()
    return {tool.definition.name: tool for tool in found.tools}


@pytest.fixture
async def server() -> AsyncIterator[StubServer]:
    async with stub_server() as stub:
        yield stub


@pytest.fixture(scope="module")
async def outbound() -> AsyncIterator[Outbound]:
    opened = Outbound(AddressPolicy(["127.0.0.0/8"]))
    yield opened
    await opened.close()


TOKEN = "Authorization: Bearer t0k3n"
JSON, FORM = "Content-Type: application/json", "Content-Type: application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        (
            "zoo_listAnimals",
            {
                "kinds": ["a", "b&"],
                "tags": ["x", "y"],
                "where": {"age": 3},
                "filter": {"a": 1},
                "session": "s",
                "trace": "t",
            },
            request(
                "GET /animals?kinds=a&kinds=b%26&tags=x,y&where%5Bage%5D=3&filter=%7B%22a%22%3A1%7D",
                "trace: t",
                "Cookie: session=s",
            ),
        ),
        (
            "zoo_addAnimal",
            {"name": "Rex", "parents": [{"name": "Max"}]},
            request(
                "POST /animals",
                TOKEN,
                JSON,
                "Content-Length: 41",
                body='{"name":"Rex","parents":[{"name":"Max"}]}',
            ),
        ),
        ("zoo_getAnimal", {"id": 7}, request("GET /animals/7", "X-Key: k3y")),
        ("zoo_hasAnimal", {"id": 7}, request("HEAD /animals/7", "Cookie: crumb=crumb")),
        ("zoo_optionsOfAnimal", {"id": 7}, request("OPTIONS /animals/7?more=m0re", "X-Key: k3y")),
        (
            "zoo_removeAnimal",
            {"id": 7},
            request("DELETE /animals/7", f"Authorization: Basic {b64encode(b'ann:pw').decode()}"),
        ),
        (
            "zoo_put_animals_id",
            {"id": 7, "body": "Rex"},
            request("PUT /animals/7", TOKEN, JSON, "Content-Length: 5", body='"Rex"'),
        ),
        (
            "zoo_renameAnimal",
            {"id": 7, "id_body": "x y", "names": ["a", "b"]},
            request("PATCH /animals/7", TOKEN, FORM, "Content-Length: 22", body="id=x+y&names=a&names=b"),
        ),
        (
            "zoo_replacePhoto",
            {"id": 7, "body": b64encode(b"\x89PNG").decode()},
            request("PUT /photos/7", TOKEN, "Content-Type: application/octet-stream", "Content-Length: 4").rstrip(
                b"\r\n"
            )
            + b"\r\n\r\n\x89PNG",
        ),
        (
            "zoo_addNote",
            {"body": "hi"},
            request("POST /notes", TOKEN, "Content-Type: text/plain", "Content-Length: 2", body="hi"),
        ),
        (
            "zoo_anyForm",
            {"body": {"a": [1, 2], "b": "c d"}},
            request("PUT /notes", TOKEN, FORM, "Content-Length: 13", body="a=1&a=2&b=c+d"),
        ),
    ],
)
async def test_each_kind_of_operation_is_sent_byte_for_byte(
    server: StubServer, outbound: Outbound, name: str, arguments: dict[str, Any], expected: bytes
) -> None:
    tool = tools(server=server.url)[name]
    assert find_violations(compile_schema(tool.definition.input_schema), arguments) == []
    if name == "zoo_hasAnimal":
        server.answers = [b"HTTP/1.1 204 No Content\r\n\r\n"]
    await HttpKind(outbound, SECRETS).create(tool.definition, tool.implementation).call(arguments, make_context())
    assert sorted(sent(server).split(b"\r\n")) == sorted(expected.split(b"\r\n"))


async def test_files_are_sent_as_forms(server: StubServer, outbound: Outbound) -> None:
    tool = tools(server=server.url)["zoo_addPhoto"]
    arguments = {"id": 1, "title": "Rex", "photo": b64encode(b"\x89PNG").decode()}
    await HttpKind(outbound, SECRETS).create(tool.definition, tool.implementation).call(arguments, make_context())
    head, _, content = server.last.partition(b"\r\n\r\n")
    boundary = head.rpartition(b"boundary=")[2].partition(b"\r\n")[0]
    assert content == (
        b'--B\r\nContent-Disposition: form-data; name="title"\r\n\r\nRex\r\n'
        b'--B\r\nContent-Disposition: form-data; name="photo"; filename="photo"\r\n'
        b"Content-Type: image/png\r\n\r\n\x89PNG\r\n"
        b"--B--\r\n"
    ).replace(b"--B", b"--" + boundary)


def test_a_tool_says_what_its_operation_says() -> None:
    found = tools()
    listing, adding, removing = (
        found[name].definition for name in ("zoo_listAnimals", "zoo_addAnimal", "zoo_removeAnimal")
    )
    assert (listing.title, listing.description, listing.category) == ("List animals", "List animals", "zoo")
    assert "Authorization" not in listing.input_schema["properties"]
    assert listing.annotations.read_only_hint is True
    assert (removing.annotations.destructive_hint, removing.annotations.idempotent_hint) == (True, True)
    assert removing.metadata == {"id": "DELETE /animals/{id}", "deprecated": True}
    assert adding.input_schema == {
        "type": "object",
        "properties": {"trace": TEXT, "name": TEXT, "parents": {"type": "array", "items": {"$ref": "#/$defs/Animal"}}},
        "additionalProperties": False,
        "required": ["name"],
        "$defs": {
            "Animal": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "id": {"type": "integer", "readOnly": True},
                    "name": TEXT,
                    "parents": {"type": "array", "items": {"$ref": "#/$defs/Animal"}},
                },
            }
        },
    }
    assert found["zoo_getAnimal"].implementation["url"] == "https://eu.zoo.example/v1/animals/{id}"


def test_a_token_url_is_relative_to_the_document() -> None:
    document = {**DOCUMENT, "security": [{"app": ["read"]}]}
    found = read_openapi(document, source="zoo", base_url="https://docs.example/api/openapi.json")
    auth = next(tool.implementation["auth"] for tool in found.tools if tool.definition.name == "zoo_addAnimal")
    assert auth == {
        "type": "oauth2_client_credentials",
        "token_url": "https://docs.example/token",
        "client_id": "${secret:zoo.app.client_id}",
        "client_secret": "${secret:zoo.app.client_secret}",
        "scopes": ["read"],
    }
    assert "zoo.app.client_secret" in found.secrets


BAD: list[tuple[Any, str]] = [
    ({"parameters": [{"$ref": "https://evil.example/x.yaml#/Id"}]}, "refers to another document"),
    ({"parameters": [{"$ref": "file:///etc/passwd"}]}, "refers to another document"),
    ({"parameters": [{"$ref": "#/components/nothing"}]}, "there is nothing at"),
    ({"parameters": [{"$ref": "#/components/loop"}]}, "circles"),
    (
        {"parameters": [{"name": "a", "in": "query", "schema": {"$ref": "http://169.254.169.254/"}}]},
        "another document",
    ),
    ({"parameters": [{"name": "a", "in": "moon", "schema": {}}]}, "which is no place"),
    ({"parameters": [{"name": "a", "in": "query", "style": "matrix", "schema": {}}]}, "style 'matrix'"),
    ({"parameters": [{"name": "a\r\nX: y", "in": "header", "schema": {}}]}, "no name of a header"),
    ({"parameters": [{"name": "Host", "in": "header", "schema": {}}]}, "belongs to the connection"),
    ({"servers": [{"url": "file:///etc"}]}, "no http or https URL"),
    ({"servers": [{"url": "http://user:pw@h/"}]}, "implementation/url"),
    ({"servers": [{"url": "/only/a/path"}]}, "--server"),
    ({"security": [{"cert": []}]}, "mutualTLS"),
    ({"security": [{"unknown": []}]}, "not understood"),
    ({"requestBody": {"content": {"multipart/form-data": {"schema": {}}}}}, "no fields that are known"),
    ({"parameters": [{"name": "a", "in": "query", "schema": {"$ref": "#/components/deep"}}]}, "nested"),
    ("no object", "it is no object"),
]


async def test_an_operation_that_cannot_be_a_tool_costs_no_other(services: Services) -> None:
    deep: dict[str, Any] = {}
    for _ in range(80):
        deep = {"items": deep}
    document = {
        **DOCUMENT,
        "components": {**DOCUMENT["components"], "loop": {"$ref": "#/components/loop"}, "deep": deep},
        "paths": {f"/bad{number}": {"get": operation} for number, (operation, _) in enumerate(BAD)}
        | {"/good": {"get": {"operationId": "good"}}, "/{gap}": {"get": {}}},
    }
    report = await import_openapi(services.database, services.kinds, json.dumps(document).encode(), source="zoo")
    assert report.added == ("zoo_good",)
    reasons = {skipped.id: skipped.reason for skipped in report.skipped}
    assert reasons.pop("GET /{gap}") == "its path has 'gap', which no parameter describes"
    assert len(reasons) == len(BAD)
    for number, (_, reason) in enumerate(BAD):
        assert reason in reasons[f"GET /bad{number}"]


LAUGHS = "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]" for n in range(1, 12))])
"""A few lines that stand for 31 thousand million values."""


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "3.0 or 3.1 is expected"),
        (b"[]", "3.0 or 3.1 is expected"),
        (b'{"swagger": "2.0"}', "Swagger 2.0"),
        (b'{"openapi": "4.0"}', "not 4.0"),
        (b"{", "neither JSON nor YAML"),
        (b"\xff\xfe\xff", "neither JSON nor YAML"),
        (b"a: !!python/object/apply:os.system ['true']", "neither JSON nor YAML"),
        (b"[" * 100_000, "nested too deeply"),
        (b"? " * 100_000, "nested too deeply"),
        (b"openapi: 3.1.0\nx: " + b"{a: " * 50_000, "nested too deeply"),
        (
            "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]" for n in range(1, 12))]).encode(),
            "holds too much",
        ),
        (b"a: &a {b: *a}", "nested too deeply"),
    ],
)
def test_a_document_that_is_none_is_refused(content: bytes, complaint: str) -> None:
    with pytest.raises(InvalidDefinition, match=complaint):
        parse_document(content)


def test_yaml_says_what_json_says() -> None:
    content = b"openapi: 3.0.1\ninfo: {title: no, version: 2024-01-01}\nn: [1, -2.5, 1e3, true, null, 0777, on]\n200: x"
    assert parse_document(content) == {
        "openapi": "3.0.1",
        "info": {"title": "no", "version": "2024-01-01"},
        "n": [1, -2.5, 1000.0, True, None, "0777", "on"],
        "200": "x",
    }
    assert parse_document(yaml.safe_dump(DOCUMENT).encode()) == parse_document(json.dumps(DOCUMENT).encode())


async def test_importing_again_updates_and_hides(services: Services) -> None:
    async def import_(document: dict[str, Any]) -> Any:
        return await import_openapi(services.database, services.kinds, json.dumps(document).encode(), source="zoo")

    first = await import_(DOCUMENT)
    assert (len(first.added), first.unchanged, first.skipped) == (12, 0, ())
    again = await import_(DOCUMENT)
    assert (again.added, again.updated, again.hidden, again.unchanged) == ((), (), (), 12)
    changed = json.loads(json.dumps(DOCUMENT))
    del changed["paths"]["/notes"]["put"]
    changed["paths"]["/notes"]["post"] |= {"operationId": "renamed", "summary": "Write a note"}
    changed["paths"]["/animals/{id}"]["get"]["parameters"] = [{"$ref": "gone.yaml"}]
    changed["servers"] = [{"url": "https://other.example"}]
    third = await import_(changed)
    assert third.hidden == ("zoo_anyForm",)
    assert [skipped.id for skipped in third.skipped] == ["GET /animals/{id}"]
    assert len(third.updated) == 10
    assert await services.tools.get_tool("zoo_anyForm") is None
    kept, note = await services.tools.get_tool("zoo_getAnimal"), await services.tools.get_tool("zoo_addNote")
    assert kept is not None
    assert note is not None
    assert (note.description, note.kind) == ("Write a note", "http")


@pytest.mark.skipif(not REAL.is_dir(), reason="the real documents are not on this machine")
@pytest.mark.parametrize("file", ["petstore.yaml", "museum.yaml", "twilio_lookups_v2.json", "twilio_verify_v2.json"])
def test_every_operation_of_real_documents_is_a_tool(outbound: Outbound, file: str) -> None:
    document = parse_document((REAL / file).read_bytes())
    operations = [(path, method) for path, item in document["paths"].items() for method in item if method in METHODS]
    found = read_openapi(document, source=file.partition(".")[0])
    assert found.skipped == ()
    assert len(found.tools) == len(operations) == len({tool.definition.name for tool in found.tools})
    kinds = Kinds({"http": HttpKind(outbound, SECRETS)})
    for tool in found.tools:
        kinds.check_implementation(tool.definition, tool.implementation)
        compile_schema(tool.definition.input_schema)
        assert tool.definition.description


async def test_the_command_imports_updates_and_removes(database_url: str, tmp_path: Path) -> None:
    def run(*arguments: str) -> Any:
        environment = {"DATABASE_URL": database_url, "PATH": os.environ["PATH"]}
        return CliRunner().invoke(toolbox, ["import", *arguments], env=environment)

    (tmp_path / "zoo.yaml").write_text(yaml.safe_dump(DOCUMENT))
    first = await asyncio.to_thread(run, "--openapi", str(tmp_path / "zoo.yaml"))
    assert first.exit_code == 0, first.output
    assert "openapi:zoo: 12 added, 0 updated, 0 unchanged, 0 hidden, 0 left out" in first.output
    assert "toolbox secrets set zoo.token\n" in first.output
    again = await asyncio.to_thread(run, "--openapi", str(tmp_path / "zoo.yaml"), "--json")
    assert json.loads(again.stdout)["unchanged"] == 12
    removed = await asyncio.to_thread(run, "--remove", "openapi:zoo")
    assert "12 tools removed" in removed.output
    assert (await asyncio.to_thread(run, "--openapi", str(tmp_path / "none.yaml"))).exit_code == 1
    assert (await asyncio.to_thread(run, "--server", "https://zoo.example")).exit_code == 2


def test_patterns_that_take_for_ever_end_early() -> None:
    """Either the schema is refused, or looking at a hostile text ends."""
    for pattern in ("^(a+)+$", "^(a|a)*$", "(x{1000}){1000}", "(?=(a+))\\1*$", "a" * 100_000):
        schema = {"type": "string", "pattern": pattern}
        operation = {"operationId": "x", "parameters": [{"name": "a", "in": "query", "schema": schema}]}
        found = read_openapi({**DOCUMENT, "paths": {"/x": {"get": operation}}}, source="zoo")
        for tool in found.tools:
            find_violations(compile_schema(tool.definition.input_schema), {"a": "a" * 5000 + "!"})
