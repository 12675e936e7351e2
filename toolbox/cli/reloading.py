"""`toolbox serve --reload`: starts the server again when a plugin's author saves, and says what came of it."""

import os
import threading
from collections.abc import Iterator, Sequence
from multiprocessing.context import SpawnProcess
from pathlib import Path
from socket import socket

from uvicorn import Config, Server
from uvicorn.supervisors.statreload import StatReload

from toolbox.cli.report import describe_reload, print_lines
from toolbox.plugins import source_folders
from toolbox.settings import Settings

_IGNORED = frozenset({"__pycache__", "node_modules"})


class Reload(StatReload):
    """Watches Python files below some folders; files that are new or gone count as well."""

    def __init__(self, config: Config, listening: socket, url: str, settings: Settings) -> None:
        super().__init__(config, target=Server(config).run, sockets=[listening])
        self._url = url
        self._settings = settings
        self._folders = _without_nested([Path.cwd(), *source_folders()])
        self._seen = dict(self._look())

    def should_restart(self) -> list[Path] | None:
        """The files that have changed, if any have."""
        self.pause()
        before, self._seen = self._seen, dict(self._look())
        changed = {file for file, _ in before.items() ^ self._seen.items()}
        return sorted(changed) or None

    def restart(self) -> None:
        """Start the server again, and report when it is ready or has failed."""
        super().restart()
        threading.Thread(target=self._report, args=(self.process,), daemon=True).start()

    def _report(self, process: SpawnProcess) -> None:
        lines = describe_reload(self._url, self._settings, process.is_alive)
        if process is self.process and not self.should_exit.is_set():  # it was not ended meanwhile
            print_lines(lines)

    def _look(self) -> Iterator[tuple[Path, int]]:
        for folder in self._folders:
            for place, below, files in os.walk(folder):
                below[:] = [name for name in below if name not in _IGNORED and not name.startswith(".")]
                for name in files:
                    if name.endswith(".py"):
                        file = Path(place, name)
                        try:
                            yield file, file.stat().st_mtime_ns
                        except OSError:
                            continue  # gone between the two looks


def _without_nested(folders: Sequence[Path]) -> list[Path]:
    """The folders without those that lie in another one and are watched with it."""
    unique = sorted({folder.resolve() for folder in folders})
    return [folder for folder in unique if not any(other in folder.parents for other in unique)]
