"""Sessions of the handshake era that nobody keeps: the id itself says what the client can do, sealed.

Any replica can read it, now and after a restart. An id that cannot be read (an old secret, another server) is no
error: it says nothing, and its client can be asked nothing; clients are known not to shake hands again when told 404.
"""

from uuid import uuid4

import msgspec
from msgspec import Raw, Struct

from toolbox.seals import SealBroken, Sealer

SESSION_SECONDS = 30 * 24 * 3600.0
_PURPOSE = "mcp session"


class Session(Struct, frozen=True, array_like=True):
    """What a client said of itself when it shook hands."""

    id: str = ""
    """Tells sessions apart; empty for a client that sends none."""
    version: str | None = None
    """The version that was agreed on; requests of the oldest versions do not repeat it."""
    capabilities: dict[str, Raw] = {}
    caller: str = ""
    """Who shook hands: to anybody else it says nothing."""


NO_SESSION = Session()


def open_session(sealer: Sealer, version: str, capabilities: dict[str, Raw], caller: str) -> str:
    """The id of a new session (visible ASCII)."""
    session = Session(uuid4().hex, version, capabilities, caller)
    return sealer.seal(_PURPOSE, msgspec.json.encode(session), seconds=SESSION_SECONDS)


def read_session(sealer: Sealer, text: str | None) -> Session:
    """The session of a request; none if there is no id, or one that cannot be read."""
    if text is None:
        return NO_SESSION
    try:
        return msgspec.json.decode(sealer.open(_PURPOSE, text), type=Session)
    except (SealBroken, msgspec.DecodeError):
        return NO_SESSION
