"""A PostgreSQL for an image that brings none, on a port of its own, until it is ended: `database.py FOLDER`.

FOLDER/url is its DATABASE_URL.
"""

import shutil
import signal
import socket
import sys
import threading
from pathlib import Path

from toolbox.embedded.owner import run_postgres


def serve(folder: Path) -> None:
    """Run it, with a small relay in front: the embedded PostgreSQL listens on a socket file only."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    with run_postgres(folder / "data", command="tests", server_url="tests", durable=False) as url:
        path = url.partition("host=")[2].partition("&")[0] + "/.s.PGSQL.5432"
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            threading.Thread(target=relay, args=(listening, path), daemon=True).start()
            (folder / "url").write_text(f"postgresql://toolbox@127.0.0.1:{port}/postgres?sslmode=disable")
            signal.sigwait({signal.SIGTERM, signal.SIGINT})


def relay(listening: socket.socket, path: str) -> None:
    """Pass on whatever comes, both ways."""
    while True:
        client, _ = listening.accept()
        server = socket.socket(socket.AF_UNIX)
        server.connect(path)
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=pass_on, args=(source, target), daemon=True).start()


def pass_on(source: socket.socket, target: socket.socket) -> None:
    try:
        while content := source.recv(65536):
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
serve(Path(sys.argv[1]))
