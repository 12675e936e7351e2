"""Secrets taken out of JSON values before these are kept: by the names of members, and by how values look.

Pure module: no I/O.
"""

import re
from collections.abc import Iterable
from typing import Any

REDACTED = "[redacted]"
TOO_DEEP = "[nested too deeply]"
MAX_VALUE_DEPTH = 200
"""What is nested deeper is not kept: Python goes 1,000 calls deep, and each level takes two of them."""

SECRET_NAMES = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "apikey",
    "access_key",
    "private_key",
    "authorization",
    "cookie",
    "credential",
    "credentials",
)
"""Names whose values are never kept; `accessToken`, `X-Api-Key` and `client_secret` hold one of them."""

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_REFERENCE = re.compile(r"\$\{secret:[^}]*\}")
_LOOKS = (
    (re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"), REDACTED),
    (re.compile(r"\b(Bearer|Basic)\s+(?!\$\{secret:)[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL), REDACTED),
)
"""A password inside a URL, a token of an Authorization header, a private key."""


class Redactor:
    """Takes secrets out of values. A name is secret if the words of a known one are in it, one after another."""

    def __init__(self, further_names: Iterable[str] = ()) -> None:
        self._secret = [f" {_words(name)} " for name in (*SECRET_NAMES, *further_names) if _words(name)]
        self._known: dict[str, bool] = {}

    def is_secret(self, name: str) -> bool:
        """Whether what has this name is not kept."""
        known = self._known.get(name)
        if known is None:
            words = f" {_words(name)} "
            known = any(secret in words for secret in self._secret)
            if len(self._known) < 10_000:  # names come from callers
                self._known[name] = known
        return known

    def redact(self, value: Any, *, texts_only: bool = False, depth: int = 0) -> Any:
        """The value without secrets; with `texts_only`, objects below a secret name are looked into.

        That is for definitions, where `password` may name the schema of a password. References such as
        `${secret:name}` stay: they are no secrets.
        """
        if isinstance(value, str):
            return _redact_text(value)
        if not isinstance(value, list | tuple | dict):
            return value
        if depth > MAX_VALUE_DEPTH:
            return TOO_DEEP
        if isinstance(value, dict):
            return {name: self._redact_member(name, part, texts_only, depth + 1) for name, part in value.items()}
        return [self.redact(part, texts_only=texts_only, depth=depth + 1) for part in value]

    def _redact_member(self, name: Any, value: Any, texts_only: bool, depth: int) -> Any:
        if not isinstance(name, str) or not self.is_secret(name) or value is None or isinstance(value, bool):
            return self.redact(value, texts_only=texts_only, depth=depth)
        if isinstance(value, str):
            return value if _is_reference(value) else REDACTED
        if texts_only:
            return self.redact(value, texts_only=True, depth=depth)
        return REDACTED


def hide_by_schema(value: Any, schema: Any) -> Any:
    """The value without what its schema calls `writeOnly`, or gives the format `password`."""
    return _hide(value, schema, schema, 0) if mentions_secrets(schema) else value


def mentions_secrets(schema: Any) -> bool:
    """Whether there is anything in a schema that says so."""
    if isinstance(schema, dict):
        return _is_hidden(schema) or any(mentions_secrets(part) for part in schema.values())
    return isinstance(schema, list) and any(mentions_secrets(part) for part in schema)


MAX_SCHEMA_DEPTH = 50
"""Schemas may refer to themselves; values do not go so deep."""


def _is_hidden(schema: dict[str, Any]) -> bool:
    return schema.get("writeOnly") is True or schema.get("format") == "password"


def _hide(value: Any, schema: Any, root: Any, depth: int) -> Any:
    if not isinstance(schema, dict):
        return value
    if depth > MAX_SCHEMA_DEPTH:
        return TOO_DEEP
    if _is_hidden(schema):
        return None if value is None else REDACTED
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        value = _hide(value, _find(root, reference), root, depth + 1)
    for part in (*schema.get("allOf", ()), *schema.get("anyOf", ()), *schema.get("oneOf", ())):
        value = _hide(value, part, root, depth + 1)
    if isinstance(value, dict):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties")
        return {name: _hide(part, properties.get(name, others), root, depth + 1) for name, part in value.items()}
    if isinstance(value, list):
        first = schema.get("prefixItems", [])
        rest = schema.get("items")
        return [
            _hide(part, first[index] if index < len(first) else rest, root, depth + 1)
            for index, part in enumerate(value)
        ]
    return value


def _find(root: Any, reference: str) -> Any:
    """What a reference within the schema leads to; None where it leads nowhere."""
    found = root
    for part in filter(None, reference.removeprefix("#").split("/")):
        name = part.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _words(name: str) -> str:
    return " ".join(word.lower() for word in _WORD.findall(name))


def _is_reference(text: str) -> bool:
    """Whether a text says nothing but which secrets belong there: "Bearer ${secret:github}"."""
    left, number = _REFERENCE.subn("", text)
    return number > 0 and left.strip().lower() in {"", "bearer", "basic", "token"}


def _redact_text(text: str) -> str:
    for pattern, replacement in _LOOKS:
        text = pattern.sub(replacement, text)
    return text
