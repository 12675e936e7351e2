"""The layer before the application that finds out who sends each request, also to paths that do not exist.

It refuses nobody: what a caller must be able to do is for each route to say.
"""

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from toolbox.auth.authentication import Authenticator
from toolbox.auth.callers import NOBODY
from toolbox.errors import Unauthenticated


class Gate:
    """Puts the caller of each request into its state."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        if scope["type"] == ScopeType.HTTP:
            state = scope.setdefault("state", {})
            try:
                state["caller"] = await self._authenticator.identify(scope["headers"])
            except Unauthenticated as refusal:
                state["caller"], state["refusal"] = NOBODY, refusal
        await self._app(scope, receive, send)
