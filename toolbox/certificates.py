"""The certificate that the server shows: checked before it listens, and read again when its files change.

Nothing watches the files: each new connection looks whether they are still those that were read, once a second at most.
"""

import ssl
import time
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

import structlog

from toolbox.errors import SettingsError

logger = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
"""How long the files count as unchanged."""

_Seen: TypeAlias = tuple[tuple[int, int, int], ...]


class ServerCertificate:
    """A certificate chain with its key; `context` is what the server listens with."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read both.

        Raises:
            SettingsError: They cannot be used; the message says which, why, and by which setting it was named.
        """
        self._certificate, self._key = certificate, key
        self._seen = self._look()
        self._looked_at = time.monotonic()
        self._newest = load_certificate(certificate, key)
        self.context = load_certificate(certificate, key)
        self.context.sni_callback = self._choose  # called for each connection, also for those that name no server

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        self._refresh()
        connection.context = self._newest

    def _refresh(self) -> None:
        """Read files that have changed; what cannot be used, as between the writing of the two, is tried again."""
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        seen = self._look()
        if seen == self._seen:
            return
        try:
            self._newest = load_certificate(self._certificate, self._key)
        except SettingsError as error:
            logger.warning("the certificate has changed and cannot be used; the one before serves on", why=str(error))
            return
        self._seen = seen
        logger.info("the certificate was read again", ends_at=ends_at(self._certificate).isoformat())

    def _look(self) -> _Seen:
        """What tells a file from another one in its place; nothing where there is none."""
        found = []
        for path in (self._certificate, self._key):
            try:
                status = path.stat()
            except OSError:
                continue
            found.append((status.st_ino, status.st_mtime_ns, status.st_size))
        return tuple(found)


def load_certificate(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's TLS context (TLS 1.2 or newer) with this certificate chain and key, both in PEM.

    Raises:
        SettingsError: One cannot be read, is not PEM, is sealed with a password, or they do not belong together.
    """
    _refuse_other_content("SSL_CERT_PATH", certificate, "-----BEGIN CERTIFICATE-----")
    _refuse_other_content("SSL_KEY_PATH", key, "PRIVATE KEY-----")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])

    def refuse_password() -> str:
        raise SettingsError(f"SSL_KEY_PATH={str(key)!r} is sealed with a password: give it without one")

    try:
        context.load_cert_chain(certificate, key, password=refuse_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise SettingsError(
                f"the key in SSL_KEY_PATH={str(key)!r} does not belong to the certificate in "
                f"SSL_CERT_PATH={str(certificate)!r}; the server's own certificate must be the first one in its file"
            ) from error
        raise SettingsError(
            f"SSL_CERT_PATH={str(certificate)!r} with SSL_KEY_PATH={str(key)!r} cannot be used: "
            f"{(error.reason or str(error)).replace('_', ' ').lower()}"
        ) from error
    return context


def ends_at(certificate: Path) -> datetime:
    """When a certificate in PEM ends.

    Raises:
        OSError: It cannot be read.
        ValueError: It is none.
    """
    from cryptography.x509 import load_pem_x509_certificate  # slow to load, and only TLS needs it

    return load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc


def _refuse_other_content(setting: str, path: Path, mark: str) -> None:
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not PEM"
        raise SettingsError(f"{setting}={str(path)!r} cannot be read: {why}") from error
    if mark not in content:
        raise SettingsError(f"{setting}={str(path)!r} holds no {mark.strip('-').replace('BEGIN ', '').lower()} in PEM")
