"""Tools that encode and decode text: Base64, URL, HTML and hexadecimal."""

import base64
import binascii
import html
import urllib.parse
from typing import Literal

import toolbox
from toolbox_text.hints import PURE
from toolbox_text.limits import Text

Encoding = Literal["base64", "base64url", "url", "html", "hex"]


@toolbox.tool(
    title="Encode a text",
    category="text",
    tags=["base64", "url", "percent-encoding", "html", "escape", "hex"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="base64 encode a user name and password",
            arguments={"text": "user:päss", "encoding": "base64"},
            result="dXNlcjpww6Rzcw==",
        ),
        toolbox.ToolExample(
            query="escape a query parameter for a URL",
            arguments={"text": "tea & biscuits?", "encoding": "url"},
            result="tea%20%26%20biscuits%3F",
        ),
        toolbox.ToolExample(
            query="escape html tags",
            arguments={"text": "<b>1 & 2</b>", "encoding": "html"},
            result="&lt;b&gt;1 &amp; 2&lt;/b&gt;",
        ),
    ],
)
def encode(text: Text, encoding: Encoding) -> str:
    """Encode a text as Base64 or hexadecimal, or escape it for a URL or HTML.

    Args:
        text: The text, at most 100,000 characters; its bytes are UTF-8.
        encoding: base64, base64url (with - and _, unpadded), url (percent-encoding, also of the slash), html
            (characters with a meaning in HTML become entities) or hex.
    """
    match encoding:
        case "base64":
            return base64.b64encode(to_utf8(text)).decode()
        case "base64url":
            return base64.urlsafe_b64encode(to_utf8(text)).decode().rstrip("=")
        case "url":
            return urllib.parse.quote(to_utf8(text), safe="")
        case "html":
            return html.escape(text)
        case "hex":
            return to_utf8(text).hex()


@toolbox.tool(
    title="Decode a text",
    category="text",
    tags=["base64", "url", "percent-encoding", "html", "unescape", "hex"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="what does this base64 string say",
            arguments={"text": "dXNlcjpww6Rzcw==", "encoding": "base64"},
            result="user:päss",
        ),
        toolbox.ToolExample(
            query="decode percent signs in a URL",
            arguments={"text": "tea%20%26%20biscuits%3F", "encoding": "url"},
            result="tea & biscuits?",
        ),
        toolbox.ToolExample(
            query="turn html entities back into characters",
            arguments={"text": "caf&eacute; &#8364;5", "encoding": "html"},
            result="café €5",
        ),
    ],
)
def decode(text: Text, encoding: Encoding) -> str:
    """Decode Base64, hexadecimal, URL percent-encoding or HTML entities back into text.

    Args:
        text: What was encoded, at most 100,000 characters; spaces and line breaks in Base64 and hex do not matter.
        encoding: base64 and base64url (with or without padding), url (a + stays a +), html or hex.
    """
    try:
        return _decode(text, encoding)
    except UnicodeDecodeError as error:
        raise toolbox.ToolError(f"the text is {encoding}, but of bytes that are not UTF-8: {error.reason}") from error
    except (binascii.Error, ValueError) as error:
        raise toolbox.ToolError(f"the text is not {encoding}: {error}") from error


def to_utf8(text: str) -> bytes:
    """Encode as UTF-8.

    Raises:
        ToolError: The text has half of a surrogate pair, which no encoding can hold.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise toolbox.ToolError(f"the text has half of a surrogate pair at character {error.start + 1}") from error


def _decode(text: str, encoding: Encoding) -> str:
    match encoding:
        case "base64" | "base64url":
            compact = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
            padding = "=" * (-len(compact) % 4)
            return base64.b64decode(compact + padding, validate=True).decode()
        case "url":
            return urllib.parse.unquote(text, errors="strict")
        case "html":
            return html.unescape(text)
        case "hex":
            return bytes.fromhex(text).decode()
