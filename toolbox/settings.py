"""Settings, read once from the environment. Each has a default and a sentence; nothing else reads the environment.

A secret may also come from a file: DATABASE_URL_FILE names a file that holds DATABASE_URL.
"""

import contextlib
import types
import typing
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from toolbox.errors import DatabaseUnavailable, SettingsError

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
MIN_API_KEY = 20
MIN_JWT_SECRET = 32
"""Characters."""

SHORTEST_KEY = 16

_SCHEMES: Mapping[str, tuple[str, ...]] = {
    "DATABASE_URL": ("postgresql", "postgres", "postgresql+asyncpg"),
    "REDIS_URL": ("redis", "rediss", "unix"),
}
"""How the URL in a variable may begin: said here, before a driver says it in its own words."""


class Secret:
    """A string that does not show itself in logs and tracebacks."""

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The string itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(...)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class Settings(Struct, frozen=True, kw_only=True):
    """What an operator can set; the environment variable is the field's name in capitals."""

    database_url: Annotated[
        Secret | None,
        Meta(description="PostgreSQL 15+ with pgvector 0.8+, as postgresql://...; unset: ToolBox runs its own."),
    ] = None
    data_dir: Annotated[
        Path | None,
        Meta(
            description="Where the embedded PostgreSQL keeps its data; unset: the user's data folder, /var/lib as root."
        ),
    ] = None
    redis_url: Annotated[
        Secret | None, Meta(description="Redis or Valkey, as redis://...; unset: memory of each replica.")
    ] = None
    max_streams: Annotated[
        int, Meta(ge=1, le=100_000, description="Streams on which MCP clients may listen at a time, in each process.")
    ] = 1000
    secret_key: Annotated[
        Secret | None,
        Meta(description="Seals secrets and what clients carry, 16+ characters; `new,old` while it changes."),
    ] = None
    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 8000
    ssl_cert_path: Annotated[
        Path | None, Meta(description="Certificate chain in PEM: HTTPS is served, and the file read again on change.")
    ] = None
    ssl_key_path: Annotated[Path | None, Meta(description="The private key of SSL_CERT_PATH, in PEM.")] = None
    workers: Annotated[int, Meta(ge=1, le=64, description="Server processes.")] = 1
    public_url: Annotated[
        Annotated[str, Meta(pattern="^https?://[^/]+")] | None,
        Meta(description="The URL under which clients reach ToolBox; its host is then accepted in requests."),
    ] = None
    api_key: Annotated[
        Secret | None,
        Meta(description="Key of the operator, with every scope, at least 20 characters; commands send it to servers."),
    ] = None
    allow_anonymous: Annotated[
        bool, Meta(description="Let callers without a key find and call tools, where keys exist or others can connect.")
    ] = False
    environment: Annotated[
        Literal["development", "production"], Meta(description="production: refuse settings that are for trying out.")
    ] = "development"
    debug: Annotated[bool, Meta(description="Say in answers why something went wrong here; not in production.")] = False
    jwt_issuer: Annotated[
        str | None, Meta(description="The authorization server whose tokens are taken, as they name it (iss).")
    ] = None
    jwt_audience: Annotated[
        str | None, Meta(description="For whom tokens must be made (aud), this or below it; unset: PUBLIC_URL.")
    ] = None
    jwt_jwks_url: Annotated[
        Annotated[str, Meta(pattern=r"^https?://[^/\s]+")] | None,
        Meta(description="Where the authorization server shows its public keys (JWKS)."),
    ] = None
    jwt_secret: Annotated[
        Secret | None,
        Meta(description="The secret that tokens are signed with (HS256), instead of JWT_JWKS_URL; 32 characters."),
    ] = None
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(description="Networks of proxies whose X-Forwarded-For is believed, as 10.0.0.0/8, separated by commas."),
    ] = ()
    rate_limit_enabled: Annotated[
        bool, Meta(description="Limit how much callers may ask; never on a machine that is open to its user.")
    ] = True
    rate_limit_requests_per_minute: Annotated[
        int, Meta(ge=1, description="Requests of a key in a minute, of each kind: search, call, admin; see the docs.")
    ] = 600
    rate_limit_requests_per_hour: Annotated[int, Meta(ge=1, description="The same in an hour.")] = 20_000
    rate_limit_burst: Annotated[int, Meta(ge=1, description="The same in a second.")] = 50
    cors_origins: Annotated[
        tuple[str, ...], Meta(description="Web origins whose pages may call ToolBox, separated by commas.")
    ] = ()
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], Meta(description="Least severe log line that is written.")
    ] = "INFO"
    log_format: Annotated[
        Literal["auto", "console", "json"],
        Meta(description="How log lines look; auto: console on a terminal, else json."),
    ] = "auto"
    db_pool_size: Annotated[int, Meta(ge=1, le=1000, description="Connections each server process keeps open.")] = 4
    db_max_overflow: Annotated[
        int, Meta(ge=0, le=1000, description="Connections that may be opened beyond DB_POOL_SIZE under load.")
    ] = 6
    db_pool_timeout: Annotated[
        float, Meta(gt=0, description="Seconds to wait for a free connection before answering 503.")
    ] = 10.0
    embedding_model: Annotated[
        str | None,
        Meta(description="The embedding model, as the endpoint or a plugin names it; unset: the one a plugin offers."),
    ] = None
    embedding_dimension: Annotated[
        Annotated[int, Meta(ge=1, le=4000)] | None,
        Meta(description="The dimension that the model must have; unset: the one that it has."),
    ] = None
    embedding_endpoint_url: Annotated[
        Annotated[str, Meta(pattern=r"^https?://[^/\s]+")] | None,
        Meta(description="OpenAI-compatible endpoint, as https://host/v1; unset: a plugin's model, in this process."),
    ] = None
    embedding_api_key: Annotated[
        Secret | None, Meta(description="Key for EMBEDDING_ENDPOINT_URL, sent as a bearer token.")
    ] = None
    embedding_batch_size: Annotated[
        int, Meta(ge=1, le=2048, description="Texts that the endpoint gets in one request, unless it takes only fewer.")
    ] = 64
    embedding_timeout: Annotated[
        float, Meta(gt=0, description="Seconds that a search waits for the endpoint, then it goes on by words alone.")
    ] = 5.0
    require_embedding_for_readiness: Annotated[
        bool,
        Meta(
            description="Be ready only with every tool embedded, and a model that works; else search goes on by words."
        ),
    ] = False
    learn_from_use: Annotated[
        bool, Meta(description="Lift tools that were called with success after searches like the one at hand.")
    ] = True
    enable_cache: Annotated[bool, Meta(description="Remember embeddings: in memory, and in Redis if there is one.")] = (
        True
    )
    cache_ttl: Annotated[float, Meta(gt=0, description="Seconds that a cached embedding is kept.")] = 3600.0
    default_search_limit: Annotated[int, Meta(ge=1, le=50, description="Matches that find returns by default.")] = 5
    default_similarity_threshold: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None,
        Meta(description="Drop matches below this similarity by default; unset: drop none."),
    ] = None
    use_hybrid_search: Annotated[
        bool, Meta(description="Search by words as well as by meaning, unless a request says otherwise.")
    ] = True
    vector_weight: Annotated[
        float, Meta(ge=0, le=1, description="Share of meaning against words in the ranking, by default.")
    ] = 0.7
    pinned_tools: Annotated[
        tuple[str, ...], Meta(description="Names of tools that MCP clients see directly, separated by commas.")
    ] = ()
    mcp_servers: Annotated[
        Secret | None,
        Meta(description="MCP servers whose tools are offered: a host's file (mcpServers), or its content."),
    ] = None
    upstream_commands: Annotated[
        tuple[str, ...],
        Meta(description="Programs that upstreams may run which are added at run time, separated by commas."),
    ] = ("bunx", "deno", "docker", "node", "npx", "podman", "python", "python3", "uv", "uvx")
    plugins_disabled: Annotated[
        tuple[str, ...], Meta(description="Names of plugins that are not loaded, separated by commas.")
    ] = ()
    plugins_strict: Annotated[bool, Meta(description="Refuse to start when any plugin or tool of one fails.")] = False
    tool_timeout: Annotated[
        float, Meta(gt=0, description="Seconds that a call may take, unless its tool says otherwise.")
    ] = 30.0
    tool_concurrency: Annotated[
        int, Meta(ge=1, description="Calls that run at the same time in one process; one tool gets at most half of it.")
    ] = 128
    allow_custom_commands: Annotated[
        tuple[str, ...],
        Meta(description="Programs that command tools may run beside python, node, npx, uvx and uv: names or paths."),
    ] = ()
    python_executor_enabled: Annotated[bool, Meta(description="Let tools run Python functions of allowed modules.")] = (
        True
    )
    python_executor_allowed_modules: Annotated[
        tuple[str, ...],
        Meta(description="Modules whose functions Python tools may run, with all below them, separated by commas."),
    ] = ()
    allowed_private_networks: Annotated[
        tuple[str, ...],
        Meta(description="Networks inside that HTTP tools may reach, as 10.0.0.0/8; all public ones are."),
    ] = ()
    call_retention_days: Annotated[
        int, Meta(ge=0, description="Days for which calls stay in the history; 0 keeps them for ever.")
    ] = 30
    call_retention_rows: Annotated[
        int, Meta(ge=0, description="Calls that stay in the history at most, the newest ones; 0: any number.")
    ] = 1_000_000
    redacted_fields: Annotated[
        tuple[str, ...],
        Meta(description="Names of arguments and results whose values the history does not keep, beside password etc."),
    ] = ()
    result_max_tokens: Annotated[
        int,
        Meta(ge=0, description="Longest result that MCP clients get in one answer, in tokens of 3 bytes; 0: no limit."),
    ] = 10_000
    max_tool_registration_size: Annotated[
        int, Meta(ge=1024, description="Largest definition of a tool that is created or imported, in bytes of JSON.")
    ] = 1024 * 1024
    max_request_size: Annotated[int, Meta(ge=1024, description="Largest request body, in bytes.")] = 4 * 1024 * 1024

    @property
    def secret_keys(self) -> list[bytes]:
        """The keys of SECRET_KEY: the first one seals, all of them open."""
        return split_keys(self.secret_key)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in LOOPBACK

    @property
    def takes_tokens(self) -> bool:
        """Whether callers may show tokens of an authorization server."""
        return any((self.jwt_issuer, self.jwt_audience, self.jwt_jwks_url, self.jwt_secret))

    @property
    def is_local(self) -> bool:
        """Whether only this machine is meant to reach it: a PUBLIC_URL elsewhere says that a proxy passes others on."""
        return self.is_loopback and (self.public_url is None or urlsplit(self.public_url).hostname in LOOPBACK)


def split_keys(secret_key: Secret | None) -> list[bytes]:
    """Keys that are written with commas between them, the newest first."""
    text = secret_key.reveal() if secret_key else ""
    return [key.strip().encode() for key in text.split(",") if key.strip()]


def read_settings(environ: Mapping[str, str], **overrides: Any) -> Settings:
    """Read settings from environment variables; an empty variable counts as unset, overrides win.

    Raises:
        SettingsError: A value does not parse.
    """
    hints = typing.get_type_hints(Settings, include_extras=True)
    given = {name: _read_variable(environ, name.upper(), hint) for name, hint in hints.items()}
    values = {name: value for name, value in given.items() if value is not None}
    values |= {name: value for name, value in overrides.items() if value is not None}
    settings = Settings(**values)
    if settings.secret_key and min(map(len, settings.secret_keys), default=0) < SHORTEST_KEY:
        raise SettingsError(f"SECRET_KEY cannot be used: each key in it must have {SHORTEST_KEY} characters or more")
    return settings


def refuse_exposure(settings: Settings, *, has_credentials: bool) -> None:
    """Refuse to serve everybody who can reach an address, unless the operator says that this is meant.

    Raises:
        SettingsError: Others can connect, and there is no key that they could be asked for.
    """
    if not settings.is_local and not settings.allow_anonymous and not has_credentials:
        how = f"HOST={settings.host}" if not settings.is_loopback else f"PUBLIC_URL={settings.public_url}"
        raise SettingsError(
            f"{how} can be reached by others, and there is no key: set API_KEY, issue one with `toolbox keys create`, "
            "set ALLOW_ANONYMOUS=true if everybody may find and call tools, or HOST=127.0.0.1 without PUBLIC_URL"
        )


def refuse_contradictions(settings: Settings) -> None:
    """Refuse settings that together, or with ENVIRONMENT=production, are a danger.

    Raises:
        SettingsError: Says which, and what to do.
    """
    if settings.api_key and len(settings.api_key.reveal()) < MIN_API_KEY:
        raise SettingsError(
            f"API_KEY is too short: {MIN_API_KEY} characters at least, as `openssl rand -hex 32` prints them"
        )
    _refuse_half_tokens(settings)
    _refuse_no_network(settings)
    if settings.environment != "production":
        return
    if settings.debug:
        raise SettingsError("DEBUG=true tells callers of our insides: unset it where ENVIRONMENT=production")
    if "*" in settings.cors_origins:
        raise SettingsError("CORS_ORIGINS=* lets pages of everybody call: name origins where ENVIRONMENT=production")


def _refuse_half_tokens(settings: Settings) -> None:
    """Tokens need an issuer, an audience, and one way to check them."""
    if not settings.takes_tokens:
        return
    if settings.jwt_issuer is None:
        raise SettingsError("JWT_ISSUER is missing: tokens of anybody else must not count")
    if (settings.jwt_secret is None) == (settings.jwt_jwks_url is None):
        raise SettingsError("tokens are checked either by JWT_JWKS_URL or by JWT_SECRET: set one of the two")
    if settings.jwt_secret and len(settings.jwt_secret.reveal()) < MIN_JWT_SECRET:
        raise SettingsError(f"JWT_SECRET is too short: {MIN_JWT_SECRET} characters at least")
    jwks = urlsplit(settings.jwt_jwks_url or "")
    if jwks.scheme == "http" and jwks.hostname not in LOOPBACK:
        raise SettingsError("JWT_JWKS_URL must begin with https: whoever can change the keys can make tokens")
    if settings.jwt_audience is None and settings.public_url is None:
        raise SettingsError("JWT_AUDIENCE or PUBLIC_URL is missing: tokens for other servers must not count")


def _refuse_no_network(settings: Settings) -> None:
    for proxy in settings.trusted_proxies:
        try:
            ip_network(proxy, strict=False)
        except ValueError:
            raise SettingsError(f"TRUSTED_PROXIES: {proxy!r} is no network, as 10.0.0.0/8 is one") from None


@contextlib.contextmanager
def naming_database(settings: Settings) -> Iterator[None]:
    """Add to the error of a database that cannot be used which setting leads there, and to which host.

    A database without a host in its URL is behind a socket: ToolBox's own, most likely, which nobody has set.
    """
    try:
        yield
    except DatabaseUnavailable as error:
        address = _address(settings.database_url.reveal()) if settings.database_url else ""
        if not address or error.message.startswith("DATABASE_URL"):
            raise
        raise DatabaseUnavailable(f"DATABASE_URL ({address}): {error.message}") from error


def _address(url: str) -> str:
    """Host and port of a URL, never the user or the password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def describe_settings() -> list[tuple[str, str, str]]:
    """Every variable with its default and its sentence, in order; documentation is made from this."""
    fields = msgspec.structs.fields(Settings)
    return [(field.name.upper(), _show(field.default), _sentence(field.type)) for field in fields]


def _read_variable(environ: Mapping[str, str], name: str, hint: Any) -> Any:
    text = environ.get(name) or _read_file(environ, name)
    if not text:
        return None
    if name in _SCHEMES:
        _refuse_foreign_url(name, text, _SCHEMES[name])
    try:
        return msgspec.convert(_shape(text, hint), hint, strict=False, dec_hook=_make)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{name}={text!r} cannot be used: {_expected(hint)} is expected") from error


def _refuse_foreign_url(name: str, url: str, schemes: tuple[str, ...]) -> None:
    """The URL itself is not shown: a password may be in it."""
    example = f"{schemes[0]}://user:password@host/name"
    if url.partition("://")[0] not in schemes or "://" not in url:
        raise SettingsError(f"{name} cannot be used: a URL that begins with {schemes[0]}:// is expected ({example})")
    authority = url.partition("://")[2].partition("/")[0]
    if "," in authority:  # several hosts, which only the driver can tell apart
        return
    try:
        _ = urlsplit(url).port
    except ValueError:
        raise SettingsError(f"{name} cannot be used: its port must be a number up to 65535 ({example})") from None


def _expected(hint: Any) -> str:
    """What may stand in a variable: "a whole number from 1 to 64"."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return f"one of {', '.join(parts)}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_expected(part) for part in parts if part is not type(None))
    if origin is Annotated:
        limits = [_limits(extra) for extra in parts[1:] if isinstance(extra, Meta)]
        return " ".join([_expected(parts[0]), *filter(None, limits)])
    return {int: "a whole number", float: "a number", bool: "true or false"}.get(hint, "a text")


def _limits(meta: Meta) -> str:
    if meta.pattern is not None:
        return f"that matches {meta.pattern}"
    if meta.ge is not None and meta.le is not None:
        return f"from {meta.ge:g} to {meta.le:g}"
    if meta.ge is not None:
        return f"of at least {meta.ge:g}"
    return "" if meta.gt is None else f"above {meta.gt:g}"


def _read_file(environ: Mapping[str, str], name: str) -> str | None:
    path = environ.get(f"{name}_FILE")
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name}_FILE={path!r} cannot be read: {error}") from error


def _shape(text: str, hint: Any) -> Any:
    """Lists are written with commas, booleans in any case; what msgspec builds itself stays text."""
    if _mentions(hint, tuple):
        return [part.strip() for part in text.split(",") if part.strip()]
    if _mentions(hint, bool):
        return {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(text.lower(), text.lower())
    if _mentions(hint, Secret):
        return Secret(text)
    if _mentions(hint, Path):
        return Path(text).expanduser()
    return text


def _make(wanted: type, value: Any) -> Any:
    if isinstance(value, wanted):
        return value
    raise NotImplementedError(wanted)  # msgspec's own way to say that it knows no such type


def _mentions(hint: Any, wanted: type) -> bool:
    parts = typing.get_args(hint)
    return hint is wanted or typing.get_origin(hint) is wanted or any(_mentions(part, wanted) for part in parts)


def _show(default: Any) -> str:
    if default is None or default == ():
        return ""
    if isinstance(default, tuple):
        return ",".join(default)
    return str(default).lower() if isinstance(default, bool) else str(default)


def _sentence(hint: Any) -> str:
    metas = [extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, Meta)]
    return next(meta.description for meta in metas if meta.description)
