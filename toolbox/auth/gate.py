"""The layer before the application that finds out who sends each request, also to paths that do not exist.

It refuses nobody: what a caller must be able to do is for each route to say.
"""

from collections.abc import Callable

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from toolbox.auth.authentication import Authenticator
from toolbox.auth.callers import NOBODY
from toolbox.auth.challenges import Challenges
from toolbox.errors import DatabaseUnavailable, Unauthenticated
from toolbox.request_context import REQUEST
from toolbox.settings import Settings


class Gate:
    """Puts the caller of each request into its state."""

    def __init__(self, app: ASGIApp, settings: Settings, get_authenticator: Callable[[], Authenticator]) -> None:
        """The authenticator is asked for with each request: it exists only once the application has started."""
        self._app = app
        self._get_authenticator = get_authenticator
        self._challenges = Challenges(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        if scope["type"] == ScopeType.HTTP:
            state = scope.setdefault("state", {})
            state["challenge"] = self._challenges.write
            try:
                caller = state["caller"] = await self._get_authenticator().identify(scope["headers"])
                if facts := REQUEST.get():
                    facts.caller = caller.name
            except (Unauthenticated, DatabaseUnavailable) as refusal:
                state["caller"], state["refusal"] = NOBODY, refusal
        await self._app(scope, receive, send)
