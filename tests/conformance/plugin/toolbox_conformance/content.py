"""Tools that answer with content of every kind."""

import base64
import struct
import zlib
from typing import Any

from toolbox import (
    AudioContent,
    EmbeddedResource,
    ImageContent,
    ResourceContents,
    TextContent,
    ToolContext,
    ToolDefinition,
    ToolError,
    ToolResult,
)


def red_pixel() -> str:
    """A PNG of one red pixel, in base64 (RFC 2083)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0\xff\0\0")
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return base64.b64encode(png).decode()


def silence() -> str:
    """A WAV file without a sample, in base64."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", 0)
    return base64.b64encode(struct.pack("<4sI", b"RIFF", len(body)) + body).decode()


def test_simple_text() -> str:
    """Answer with a simple text."""
    return "This is a simple text response for testing."


def test_image_content() -> ImageContent:
    """Answer with an image."""
    return ImageContent(red_pixel(), "image/png")


def test_audio_content() -> AudioContent:
    """Answer with a sound."""
    return AudioContent(silence(), "audio/wav")


def test_embedded_resource() -> EmbeddedResource:
    """Answer with an embedded resource."""
    return EmbeddedResource(
        ResourceContents("test://embedded-resource", "text/plain", text="This is an embedded resource content.")
    )


def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
    """Answer with a text, an image and a resource."""
    return [
        TextContent("Multiple content types test:"),
        ImageContent(red_pixel(), "image/png"),
        EmbeddedResource(
            ResourceContents("test://mixed-content-resource", "application/json", text='{"test":"data","value":123}')
        ),
    ]


def test_error_handling() -> str:
    """Fail."""
    raise ToolError("This tool intentionally returns an error for testing")


class JsonSchemaTool:
    """A tool whose schema uses what JSON Schema 2020-12 has and earlier drafts had not."""

    definition = ToolDefinition(
        name="json_schema_2020_12_tool",
        description="Tool with JSON Schema 2020-12 features",
        input_schema={
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {
                "address": {
                    "$anchor": "addressDef",
                    "type": "object",
                    "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
                }
            },
            "properties": {
                "name": {"type": "string"},
                "address": {"$ref": "#/$defs/address"},
                "contactMethod": {"type": "string", "enum": ["phone", "email"]},
                "phone": {"type": "string"},
                "email": {"type": "string"},
            },
            "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
            "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
            "then": {"required": ["phone"]},
            "else": {"required": ["email"]},
            "additionalProperties": False,
        },
    )
    prefix = False

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        """Repeat the arguments."""
        return ToolResult.of(arguments)


TOOLS = [
    test_simple_text,
    test_image_content,
    test_audio_content,
    test_embedded_resource,
    test_multiple_content_types,
    test_error_handling,
    JsonSchemaTool(),
]
