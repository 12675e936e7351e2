"""The tool that hashes text."""

import base64
import hashlib
from typing import Literal

import toolbox
from toolbox_text.encoding import to_utf8
from toolbox_text.hints import PURE
from toolbox_text.limits import Text

Algorithm = Literal["md5", "sha1", "sha256", "sha512", "blake2b"]


@toolbox.tool(
    name="hash",
    title="Hash a text",
    category="text",
    tags=["hash", "checksum", "digest", "sha256", "md5"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="sha256 checksum of hello",
            arguments={"text": "hello"},
            result="2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        ),
        toolbox.ToolExample(
            query="md5 of an e-mail address",
            arguments={"text": "someone@example.org", "algorithm": "md5"},
            result="a70eaed09677478b42b11fc7a04f4c87",
        ),
    ],
)
def hash_text(text: Text, algorithm: Algorithm = "sha256", encoding: Literal["hex", "base64"] = "hex") -> str:
    """Hash a text: its checksum, digest or fingerprint by SHA-256, MD5 and other algorithms.

    Args:
        text: The text, at most 100,000 characters; its UTF-8 bytes are hashed.
        algorithm: The hash function; md5 and sha1 are broken and only good for checksums, none is meant for passwords.
        encoding: How to write the hash.
    """
    # without usedforsecurity=False a system in FIPS mode refuses md5 and sha1, which are asked for as checksums
    digest = hashlib.new(algorithm, to_utf8(text), usedforsecurity=False).digest()
    return digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
