"""Who may call, and by which name."""

import pytest

from toolbox.mcp.origins import Origins
from toolbox.settings import Settings

LOCAL = Settings()
PUBLIC = Settings(host="0.0.0.0", allow_anonymous=True, public_url="https://tools.example.com/base")
UNNAMED = Settings(host="0.0.0.0", allow_anonymous=True)
PAGES = Settings(cors_origins=("https://page.example.com", "http://other.example.com:8080"))


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000", "LocalHost"])
def test_this_machine_goes_by_its_loopback_names(host: str) -> None:
    assert Origins(LOCAL).allows_host(host)
    assert Origins(PUBLIC).allows_host(host)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example.com",
        "evil.example.com:8000",
        "localhost.evil.example.com",
        "localhost:notaport",
        "[::1",
        "127.0.0.1.nip.io",
        "evil.example.com/@localhost",
        "evil.example.com?@localhost",
        "evil.example.com#@localhost",
    ],
)
def test_any_other_name_is_foreign(host: str | None) -> None:
    assert not Origins(LOCAL).allows_host(host)
    assert not Origins(PUBLIC).allows_host(host)


def test_the_public_url_names_the_server() -> None:
    assert Origins(PUBLIC).allows_host("tools.example.com")
    assert Origins(PUBLIC).allows_host("tools.example.com:443")
    assert not Origins(LOCAL).allows_host("tools.example.com")


def test_a_server_that_does_not_know_its_name_takes_any() -> None:
    """The operator opened it to everybody, and names in front of it are unknown here."""
    assert Origins(UNNAMED).allows_host("anything.example.com")
    assert not Origins(UNNAMED).allows_origin("https://anything.example.com")


def test_what_is_no_page_sends_no_origin() -> None:
    assert Origins(LOCAL).allows_origin(None)


@pytest.mark.parametrize(
    ("settings", "origin", "allowed"),
    [
        (LOCAL, "http://localhost:6274", True),
        (LOCAL, "http://127.0.0.1", True),
        (LOCAL, "http://[::1]:5000", True),
        (LOCAL, "https://evil.example.com", False),
        (LOCAL, "null", False),
        (LOCAL, "", False),
        (LOCAL, "http://localhost.evil.example.com", False),
        (PUBLIC, "https://tools.example.com", True),
        (PUBLIC, "https://tools.example.com:443", True),
        (PUBLIC, "http://tools.example.com", False),
        (PAGES, "https://page.example.com", True),
        (PAGES, "http://other.example.com:8080", True),
        (PAGES, "http://other.example.com", False),
        (Settings(cors_origins=("nonsense",)), "rubbish", False),
        (Settings(cors_origins=("*",)), "https://anything.example.com", True),
    ],
)
def test_pages_are_known_by_their_whole_origin(settings: Settings, origin: str, allowed: bool) -> None:
    assert Origins(settings).allows_origin(origin) is allowed
