"""SECRET_KEY of a ToolBox that runs its own PostgreSQL: a random one, in a file that only its user may read."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from toolbox.errors import EmbeddedPostgresError

FILE_NAME = "secret_key"


def ensure_secret_key(data_dir: Path) -> Path:
    """The file with the key; it is made once, whole, however many processes want it at the same time.

    Raises:
        EmbeddedPostgresError: It cannot be written.
    """
    path = data_dir / FILE_NAME
    if path.exists():
        return path
    new = path.with_name(f"{FILE_NAME}.{os.getpid()}.new")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
        with suppress(FileExistsError):  # another process was faster, and its key counts
            os.link(new, path)
    except OSError as error:
        raise EmbeddedPostgresError(f"{path} cannot be written: {error.strerror}; or set SECRET_KEY") from error
    finally:
        new.unlink(missing_ok=True)
    return path
