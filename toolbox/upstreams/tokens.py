"""ToolBox's own tokens for an upstream (OAuth 2.1, client credentials), by the SDK's provider; kept in memory."""

from typing import Any
from urllib.parse import urlsplit

import httpx2
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider


class _Memory:
    """Where the provider keeps what it got."""

    def __init__(self) -> None:
        self._tokens: Any = None
        self._client: Any = None

    async def get_tokens(self) -> Any:
        return self._tokens

    async def set_tokens(self, tokens: Any) -> None:
        self._tokens = tokens

    async def get_client_info(self) -> Any:
        return self._client

    async def set_client_info(self, client_info: Any) -> None:
        self._client = client_info


def create_auth(
    url: str, client_id: str, client_secret: str, scope: str | None, issuer: str | None = None
) -> httpx2.Auth:
    """What adds a token to each request, and gets a new one when that is needed.

    The secret goes to the issuer alone: an upstream that names another one would else get it sent wherever it wants.
    """
    parts = urlsplit(url)
    return ClientCredentialsOAuthProvider(
        server_url=url,
        storage=_Memory(),
        client_id=client_id,
        client_secret=client_secret,
        scope=scope,
        issuer=issuer or f"{parts.scheme}://{parts.netloc}",
    )
