"""Configurations without what may be secret in them, and how what was hidden comes back. Pure module: no I/O."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import structs

from toolbox.definitions import Upstream
from toolbox.errors import InvalidRequest
from toolbox.redaction import REDACTED, Redactor
from toolbox.upstreams.config import REFERENCE

MASK = "***"
"""Stands for a value that is not shown; written back, it leaves the value as it is."""

_REDACTOR = Redactor()
_SERVER = re.compile(r"^(\w+://)(?:[^/?#@\\]*@)?([^/?#\\]*).*", re.DOTALL)
"""A URL in two parts, without user and password between them, and without what follows the host and port."""


def to_document(upstream: Upstream) -> dict[str, Any]:
    """A configuration as JSON has it."""
    return msgspec.json.decode(msgspec.json.encode(upstream), type=dict[str, Any])


def mask(upstream: Upstream) -> dict[str, Any]:
    """A configuration without what may be secret: values of variables and headers, unless they are references."""
    shown = to_document(upstream)
    for part in ("env", "headers"):
        if part in shown:
            shown[part] = {name: _hide(value) for name, value in shown[part].items()}
    if upstream.auth:
        shown["auth"]["client_secret"] = _hide(upstream.auth.client_secret)
    if upstream.source_key:
        shown["source_key"] = _hide(upstream.source_key)
    redacted: dict[str, Any] = _REDACTOR.redact(shown, texts_only=True)
    for part in ("env", "headers", "auth", "source_key"):  # masked already, and a reference under a secret name is none
        if part in shown:
            redacted[part] = shown[part]
    return redacted


def find_masked(upstream: Upstream) -> list[str]:
    """Whose values are not known, because all that was given of them is the mask."""
    parts = [(f"env/{name}", value) for name, value in upstream.env.items()]
    parts += [(f"headers/{name}", value) for name, value in upstream.headers.items()]
    parts += [("auth/client_secret", upstream.auth.client_secret)] if upstream.auth else []
    parts += [("source_key", upstream.source_key)] if upstream.source_key else []
    return [place for place, value in parts if value == MASK]


def unmask(given: Upstream, before: Upstream) -> Upstream:
    """What was hidden when it was shown, and comes back so, is what it was before.

    Raises:
        InvalidRequest: It would go to another server than it was given for.
    """
    hidden = find_masked(given)
    is_elsewhere = _destination(given) != _destination(before)
    if hidden and (is_elsewhere or ("source_key" in hidden and given.source != before.source)):
        raise InvalidRequest(
            f"upstream {given.name!r}: it is at another address now, so give the values of "
            f"{', '.join(hidden)} anew: those before were for {before.url or before.source}"
        )
    shown = mask(before)
    same = {part: getattr(before, part) for part in ("args", "url") if _is_same(given, shown, part)}
    auth = given.auth
    if auth and before.auth and auth.client_secret == MASK:
        auth = structs.replace(auth, client_secret=before.auth.client_secret)
    key = before.source_key if given.source_key == MASK else given.source_key
    env, headers = _restore(given.env, before.env), _restore(given.headers, before.headers)
    return structs.replace(given, env=env, headers=headers, auth=auth, source_key=key, **same)


def is_hiding(upstream: Upstream) -> bool:
    """Whether something of it is known only as what stands for it."""
    return bool(find_masked(upstream)) or any(REDACTED in text for text in (*upstream.args, upstream.url or ""))


def _is_same(given: Upstream, shown: Mapping[str, Any], part: str) -> bool:
    return part in shown and to_document(given).get(part) == shown[part]


def _destination(upstream: Upstream) -> tuple[str, str | None]:
    """Where its headers and secrets go to."""
    server = _SERVER.sub(r"\1\2", upstream.url or "")
    return server, upstream.auth.issuer if upstream.auth else None


def _restore(given: Mapping[str, str], before: Mapping[str, str]) -> dict[str, str]:
    return {name: before.get(name, value) if value == MASK else value for name, value in given.items()}


def _hide(value: str) -> str:
    """References stay readable; one in the middle of something else does not make the rest so."""
    return value if REFERENCE.fullmatch(value.removeprefix("Bearer ").removeprefix("Basic ")) else MASK
