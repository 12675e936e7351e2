"""HTTPS with a certificate of one's own, which may change while the server runs."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from litestar.testing import AsyncTestClient
from msgspec import structs

from tests.certificates import make_certificate
from tests.conftest import BASE_URL
from toolbox import certificates
from toolbox.app import create_app
from toolbox.certificates import ServerCertificate, load_certificate
from toolbox.errors import SettingsError
from toolbox.settings import Settings


@pytest.fixture
async def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Path, Path, int]]:
    """The files of a server that looks at them with each connection, and its port."""
    monkeypatch.setattr(certificates, "LOOK_SECONDS", 0)
    certificate, key = make_certificate(tmp_path, "first")
    context = ServerCertificate(certificate, key).context
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        yield certificate, key, server.sockets[0].getsockname()[1]


async def connects(port: int, authority: Path) -> bool:
    try:
        context = ssl.create_default_context(cafile=str(authority))
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    except ssl.SSLError:
        return False
    writer.close()
    return True


async def test_a_new_certificate_is_shown_from_the_next_connection_on(
    shown: tuple[Path, Path, int], tmp_path: Path
) -> None:
    certificate, key, port = shown
    old = tmp_path / "old.crt"
    old.write_bytes(certificate.read_bytes())
    new, new_key = make_certificate(tmp_path, "second")
    assert [await connects(port, old), await connects(port, new)] == [True, False]
    new_key.replace(key)
    assert await connects(port, old), "the key without its certificate was believed"
    certificate.write_bytes(new.read_bytes())
    assert [await connects(port, old), await connects(port, new)] == [False, True]
    certificate.unlink()
    assert await connects(port, new), "the server forgot its certificate with the file"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("no certificate", "SSL_CERT_PATH='none.crt' cannot be read: No such file or directory"),
        ("key as certificate", "SSL_CERT_PATH='a.key' holds no certificate in PEM"),
        ("binary", "SSL_KEY_PATH='binary.key' cannot be read: it is not PEM"),
        ("damaged", "SSL_CERT_PATH='damaged.crt' with SSL_KEY_PATH='a.key' cannot be used: "),
        (
            "another's key",
            "the key in SSL_KEY_PATH='b.key' does not belong to the certificate in SSL_CERT_PATH='a.crt'",
        ),
        ("sealed", "SSL_KEY_PATH='sealed.key' is sealed with a password: give it without one"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make_certificate(Path(), "a")
    _, other = make_certificate(Path(), "b")
    Path("binary.key").write_bytes(b"\x80\x81")
    Path("damaged.crt").write_text(Path("a.crt").read_text().replace("MII", "xxx"))
    key = serialization.load_pem_private_key(other.read_bytes(), None)
    sealing = serialization.BestAvailableEncryption(b"secret")
    Path("sealed.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealing)
    )
    files = {
        "no certificate": ("none.crt", "a.key"),
        "key as certificate": ("a.key", "a.key"),
        "binary": ("a.crt", "binary.key"),
        "damaged": ("damaged.crt", "a.key"),
        "another's key": ("a.crt", "b.key"),
        "sealed": ("b.crt", "sealed.key"),
    }
    certificate, key_file = files[wrong]
    with pytest.raises(SettingsError) as refusal:
        load_certificate(Path(certificate), Path(key_file))
    assert refusal.value.message.startswith(said)


async def test_health_says_when_the_certificate_is_about_to_end(settings: Settings, tmp_path: Path) -> None:
    for days, expected in (
        (30, {"status": "ok", "detail": "it ends in 29 days"}),
        (3, {"status": "degraded", "detail": "it ends in 2 days"}),
        (-1, {"status": "degraded", "detail": "it has ended"}),
    ):
        certificate, key = make_certificate(tmp_path, "server", days=days)
        app = create_app(structs.replace(settings, ssl_cert_path=certificate, ssl_key_path=key))
        async with AsyncTestClient(app, base_url=BASE_URL) as client:
            assert (await client.get("/health/detailed")).json()["checks"]["certificate"] == expected
