"""Servers as processes: nothing of them is left, whatever they do and however ToolBox ends."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from toolbox.errors import UpstreamFailed
from toolbox.upstreams.logs import Log
from toolbox.upstreams.process import inherited_environment, start_process

FORKS = r"""
import os, subprocess, sys, time
child = "import os,signal,time;signal.signal(15,signal.SIG_IGN);os.write(1,b'%d\\n'%os.getpid());time.sleep(600)"
subprocess.Popen([sys.executable, "-c", child])
subprocess.Popen(["/bin/sh", "-c", f'{sys.executable} -c "{child}" & exit 0'])
subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
os.write(1, b'%d\n' % os.getpid())
time.sleep(600)
"""


async def start(code: str, log: Log | None = None, **options: object) -> "object":
    return await start_process(
        [sys.executable, "-c", code],
        environment=inherited_environment(os.environ),
        folder=None,
        log=log or Log(),
        **options,  # type: ignore[arg-type]
    )


async def read_pids(process: object, count: int) -> list[int]:
    return [int(await process.output.readline()) for _ in range(count)]  # type: ignore[attr-defined]


async def wait_until_gone(pids: list[int]) -> None:
    while any(is_running(pid) for pid in pids):
        await asyncio.sleep(0.01)


def is_running(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE or psutil.Process(pid).ppid() != 1
    return False


async def test_all_that_came_of_a_server_ends_with_it() -> None:
    process = await start(FORKS, grace_seconds=0.2)
    pids = [*await read_pids(process, 4), process._keeper.pid]
    assert len(set(pids)) == 5
    await process.stop()
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    await process.stop()


async def test_all_that_came_of_a_server_ends_when_toolbox_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "owner.py"
    program.write_text(f"""
import asyncio, os, sys
from toolbox.upstreams.logs import Log
from toolbox.upstreams.process import start_process
async def main():
    command = [sys.executable, "-c", {FORKS!r}]
    process = await start_process(
        command, environment=dict(os.environ), folder=None, log=Log(), grace_seconds=0.2
    )
    for _ in range(4):
        print((await process.output.readline()).decode().strip(), flush=True)
    print(process._keeper.pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
""")
    owner = await asyncio.create_subprocess_exec(sys.executable, str(program), stdout=asyncio.subprocess.PIPE)
    assert owner.stdout is not None
    pids = [int(await owner.stdout.readline()) for _ in range(5)]
    owner.kill()
    await owner.wait()
    await wait_until_gone(pids)


async def test_a_server_whose_keeper_is_killed_ends_too() -> None:
    process = await start("import os,time;print(os.getpid(),flush=True);time.sleep(600)")
    pids = await read_pids(process, 1)
    os.kill(process._keeper.pid, signal.SIGKILL)
    await wait_until_gone(pids)
    await process.stop()


async def test_what_a_dead_server_has_left_ends() -> None:
    log = Log()
    process = await start(
        FORKS.replace("time.sleep(600)\n", "sys.stdin.readline()\nsys.exit(7)\n"), log, grace_seconds=0.2
    )
    pids = await read_pids(process, 4)
    process.input.write(b"\n")
    await asyncio.wait([process._following])
    assert process.status == 7
    assert "status 7" in log.last(1)[0].text
    await process.stop()
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


async def test_a_flood_on_standard_error_is_drained_and_bounded() -> None:
    log = Log()
    process = await start(
        "import sys\nfor n in range(100_000): sys.stderr.write('x' * 99 + '\\n')\nprint('done', flush=True)\n"
        "sys.stdin.read()",
        log,
    )
    assert await process.output.readline() == b"done\n"
    await process.stop()
    lines = log.last()
    assert len(lines) <= 500
    assert any("were dropped here" in line.text for line in lines if line.source == "toolbox")


async def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(UpstreamFailed, match=r"no-such-program cannot be started: No such file") as caught:
        await start_process(["no-such-program"], environment={"PATH": "/usr/bin"}, folder=None, log=Log())
    assert caught.value.is_lasting
    with pytest.raises(UpstreamFailed, match="there is no folder"):
        await start_process(["true"], environment={}, folder=Path("/no/such/folder"), log=Log())


async def test_a_server_sees_a_clean_environment_and_no_file_of_ours() -> None:
    os.environ["DATABASE_URL"] = "postgresql://secret"
    try:
        process = await start(
            "import os;print(sorted(os.environ));print(sorted(os.listdir('/proc/self/fd')),flush=True)"
        )
    finally:
        del os.environ["DATABASE_URL"]
    names, files = await process.output.readline(), await process.output.readline()
    await process.stop()
    assert b"DATABASE_URL" not in names
    assert files == b"['0', '1', '2', '3']\n"  # the last one is the listing's own


async def test_starting_and_stopping_leaves_nothing_open() -> None:
    me = psutil.Process()
    process = await start("import sys;sys.stdin.read()")
    await process.stop()
    before = me.num_fds(), len(me.children()), len(asyncio.all_tasks())
    for _ in range(5):
        process = await start("import sys;sys.stdin.read()")
        await process.stop()
    assert (me.num_fds(), len(me.children()), len(asyncio.all_tasks())) == before
