"""A backup as an operator makes it: while the server runs, and back on another machine."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.flows.conftest import TOOLBOX, Server, environment, run_toolbox


def test_a_backup_of_a_running_server_is_brought_back_elsewhere(
    serve: Callable[..., Server], data_dir: Path, tmp_path: Path
) -> None:
    here, elsewhere = {"DATA_DIR": str(data_dir)}, {"DATA_DIR": str(data_dir.with_name("elsewhere"))}
    server = serve(**here, SECRET_KEY="a key of sixteen or more")
    found = run_toolbox("find", "turn a table into JSON", "--json", **here).stdout
    file = tmp_path / "toolbox.backup"
    made = run_toolbox("backup", str(file), **here, SECRET_KEY="a key of sixteen or more")
    assert made.returncode == 0, made.stderr
    assert (file.stat().st_mode & 0o777, list(tmp_path.iterdir())) == (0o600, [file])
    refused = run_toolbox("restore", str(file), "--replace", **here)
    assert (refused.returncode, "stop its servers first" in refused.stderr) == (1, True), refused.stderr
    assert server.stop() in {0, -signal.SIGTERM}

    checked = run_toolbox("restore", "--check", str(file))
    assert "tools, " in checked.stdout, checked
    with file.open("rb") as content:  # through a pipe, as from another machine
        restored = subprocess.run(
            [TOOLBOX, "restore", "-"], stdin=content, env=environment(**elsewhere), capture_output=True, text=True
        )
    assert restored.returncode == 0, restored.stderr
    assert "SECRET_KEY is not the one of the backup" in restored.stderr
    assert "DATA_DIR/secret_key" in restored.stderr
    again = run_toolbox("find", "turn a table into JSON", "--json", **elsewhere)
    assert json.loads(again.stdout) == json.loads(found)

    occupied = run_toolbox("restore", str(file), **elsewhere)
    assert "--replace" in occupied.stderr
    os.truncate(file, 1000)
    damaged = run_toolbox("restore", str(file), "--replace", **elsewhere)
    assert (damaged.returncode, damaged.stderr[:6]) == (1, "Error:")
    assert run_toolbox("tools", "get", "text_reverse", **elsewhere).returncode == 0
