"""Resources that sessions of the handshake era want to hear of (resources/subscribe).

Nothing of a session is kept in a process: which resources it has subscribed to is in PostgreSQL, under the id of the
session, and whichever replica has its stream (GET) reads that, and hears when it changes.
"""

from toolbox.database import Database
from toolbox.errors import InvalidRequest

MAX_OF_A_SESSION = 1_000
KEPT_DAYS = 30
"""As long as a session is good."""


class SessionSubscriptions:
    """Which URIs each session wants to hear of."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, session_id: str, uri: str) -> None:
        """Let a session hear of a resource.

        Raises:
            InvalidRequest: It hears of too many already.
        """
        async with self._database.transaction() as connection:
            await connection.execute(
                f"delete from session_subscriptions where created_at < now() - interval '{KEPT_DAYS} days'"
            )
            number = await connection.fetchval(
                "select count(*) from session_subscriptions where session_id = $1 and uri <> $2", session_id, uri
            )
            if number >= MAX_OF_A_SESSION:
                raise InvalidRequest(f"a session subscribes to at most {MAX_OF_A_SESSION} resources")
            await connection.execute(
                "insert into session_subscriptions (session_id, uri) values ($1, $2) on conflict do nothing",
                session_id,
                uri,
            )

    async def remove(self, session_id: str, uri: str) -> None:
        """Let it hear of a resource no more."""
        await self._database.execute(
            "delete from session_subscriptions where session_id = $1 and uri = $2", session_id, uri
        )

    async def read(self, session_id: str) -> frozenset[str]:
        """All that it wants to hear of."""
        if not session_id:
            return frozenset()
        rows = await self._database.fetch("select uri from session_subscriptions where session_id = $1", session_id)
        return frozenset(row["uri"] for row in rows)
