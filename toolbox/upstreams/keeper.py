"""Keeps one server that talks over its standard input and output: runs it, and sees to it that nothing of it is left.

This is a program of its own, and knows only the standard library: `python -I -S keeper.py CONTROL GRACE COMMAND ...`.
ToolBox starts one for each server. It holds the read end of a pipe, CONTROL, that ToolBox never writes to: when that
closes, because ToolBox wants it or has been killed, the keeper ends the server and everything that came of it. On Linux
it is a subreaper, so that children of dead children, in whatever session, come to it and not to init.

    standard input, output   the server's own, passed through; the keeper keeps neither
    standard error           JSON lines for ToolBox: {"started": pid}, {"log": line}, {"dropped": lines},
                             {"failed": why} and {"exited": status}

It drains the server's standard error as fast as that comes, and passes on so much a second as ToolBox can want.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable

STDIN_SECONDS = 0.5
"""How long a server has to end by itself after its standard input was closed, before it gets SIGTERM."""
KILL_SECONDS = 10.0
"""How long SIGKILL is repeated: what it does not end by then is stuck in the kernel."""
LINES_A_SECOND = 200
LINE_BYTES = 1_000
"""Of a log line in one piece: what is written of it then goes into a pipe wholly or not at all."""
CHUNK = 65_536

SET_PDEATHSIG = 1
SET_CHILD_SUBREAPER = 36


class Keeper:
    """One server with its descendants."""

    def __init__(self, control: int, grace_seconds: float, command: list[str]) -> None:
        self._control = control
        self._grace_seconds = grace_seconds
        self._command = command
        self._poll = select.poll()
        self._buffer = b""
        self._second = 0
        self._lines = self._dropped = 0
        self._status: int | None = None
        self._has_children = True

    def run(self) -> int:
        """Run the server until it ends or ToolBox wants it ended; then end all that is left of it."""
        os.set_inheritable(self._control, False)
        os.set_blocking(2, False)
        _prctl(SET_CHILD_SUBREAPER, 1)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self._wake, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(self._wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._close_control())
        self._log, log = os.pipe()
        try:
            self._server = self._start(log)
        except OSError as error:
            self._say(failed=error.strerror or str(error))
            return 127
        finally:
            os.close(log)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        self._say(started=self._server)
        for descriptor in (self._control, self._log, self._wake):
            self._poll.register(descriptor, select.POLLIN)
        self._is_wanted = True
        self._work(lambda: not self._is_wanted or self._status is not None, None)
        self._work(lambda: self._status is not None, STDIN_SECONDS)
        is_told = self._status is not None
        if is_told:  # before what it has left is ended, which may take a while
            self._flush()
            self._say(exited=self._status)
        self._end_all()
        self._flush()
        if not is_told:
            self._say(exited=self._status)
        return 0

    def _start(self, log: int) -> int:
        """Fork and exec: the keeper has one thread, so that nothing can be held by another across the fork."""
        broken, report = os.pipe()
        keeper = os.getpid()
        server = os.fork()
        if server == 0:
            try:
                os.setsid()
                _prctl(SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != keeper:
                    os._exit(1)
                os.dup2(log, 2)
                for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
                    signal.signal(number, signal.SIG_DFL)
                os.execvp(self._command[0], self._command)  # noqa: S606 - an argument list that ToolBox has checked
            except OSError as error:
                os.write(report, str(error.strerror or error).encode())
            finally:
                os._exit(127)
        os.close(report)
        why = os.read(broken, 1000)
        os.close(broken)
        if why:
            os.waitpid(server, 0)
            raise OSError(0, why.decode(errors="replace"))
        return server

    def _work(self, is_over: Callable[[], bool], seconds: float | None) -> None:
        """Drain the log and bury the dead until something is so, or the time is up."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not is_over():
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return
            # A dropped line is told at the end of its second, so there is something to wake up for.
            wait = 1000 if self._dropped else None
            if left is not None:
                wait = min(wait or 1000, int(left * 1000) + 1)
            for descriptor, _ in self._poll.poll(wait):
                if descriptor == self._control:
                    self._close_control()
                elif descriptor == self._log:
                    self._drain()
                else:
                    os.read(self._wake, CHUNK)
            self._bury()
            self._tell_dropped()

    def _close_control(self) -> None:
        if self._is_wanted:
            self._is_wanted = False
            self._poll.unregister(self._control)

    def _end_all(self) -> None:
        self._signal_all(signal.SIGTERM)
        self._work(lambda: not self._has_children, self._grace_seconds)
        give_up = time.monotonic() + KILL_SECONDS
        while self._has_children and time.monotonic() < give_up:
            self._signal_all(signal.SIGKILL)
            self._work(lambda: not self._has_children, 0.02)

    def _signal_all(self, number: int) -> None:
        for pid in _descendants(os.getpid()) or ([] if self._status is not None else [self._server]):
            _kill(pid, number)
        if sys.platform != "linux":
            try:
                os.killpg(self._server, number)
            except (ProcessLookupError, PermissionError):
                self._has_children = self._status is None

    def _bury(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._has_children = False
                return
            if pid == 0:
                return
            if pid == self._server:
                self._status = os.waitstatus_to_exitcode(status)

    def _drain(self) -> None:
        chunk = os.read(self._log, CHUNK)
        if not chunk:
            self._poll.unregister(self._log)
            return
        *lines, rest = (self._buffer + chunk).split(b"\n")
        if len(rest) > LINE_BYTES:  # a line without an end
            lines.append(rest)
            rest = b""
        self._buffer = rest
        for line in lines:
            for start in range(0, max(len(line), 1), LINE_BYTES):
                self._pass_on(line[start : start + LINE_BYTES])

    def _pass_on(self, line: bytes) -> None:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines > LINES_A_SECOND or not self._say(log=_readable(line)):
            self._dropped += 1

    def _tell_dropped(self) -> None:
        if self._dropped and int(time.monotonic()) != self._second and self._say(dropped=self._dropped):
            self._dropped = 0

    def _flush(self) -> None:
        """Tell what is left of the log."""
        os.set_blocking(self._log, False)
        with contextlib.suppress(BlockingIOError, KeyError):
            self._drain()
        if self._buffer:
            self._pass_on(self._buffer)
            self._buffer = b""
        if self._dropped and self._say(dropped=self._dropped):
            self._dropped = 0

    def _say(self, **what: object) -> bool:
        """Whether ToolBox could take it; it may be dead, or busy with something else."""
        try:
            os.write(2, json.dumps(what, ensure_ascii=False).encode() + b"\n")
        except OSError:
            return False
        return True


def _readable(line: bytes) -> str:
    text = line.decode(errors="replace")
    return "".join(character if character.isprintable() or character == "\t" else " " for character in text).rstrip()


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _descendants(root: int) -> list[int]:
    """Everything that came of a process, the youngest generation last; empty where there is no /proc."""
    parents = dict[int, list[int]]()
    try:
        entries = [entry.name for entry in os.scandir("/proc") if entry.name.isdigit()]
    except OSError:
        return []
    for name in entries:
        with contextlib.suppress(OSError, ValueError):
            state, parent = _read(f"/proc/{name}/stat").rpartition(b")")[2].split()[:2]
            if state != b"Z":
                parents.setdefault(int(parent), []).append(int(name))
    found, level = list[int](), [root]
    while level:
        level = [child for parent in level for child in parents.get(parent, ())]
        found += level
    return found


def _read(path: str) -> bytes:
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, 4096)
    finally:
        os.close(file)


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


if __name__ == "__main__":
    sys.exit(Keeper(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]).run())
