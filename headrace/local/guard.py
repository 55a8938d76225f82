"""The guard: a small process between the supervisor and each of its children, run as a script of its own.

    python -I -S guard.py UID GID PIDFILE SIGNAL COMMAND…

Standard input is a pipe whose other end only the supervisor holds. When that end closes, whatever the reason
(a kill -9 of the supervisor included), the guard ends the child and everything the child has started. It is
the subreaper of that tree, so that grandchildren in sessions of their own (each Postgres backend has one) fall
to it and are found. SIGTERM and SIGINT are passed on as SIGNAL, the child's own signal for a clean stop. The
guard ends as its child did: same exit code, or 128 + the number of the signal that killed it.

The child runs as UID:GID (-1: as ourselves); its process id stands in PIDFILE while it lives.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

GRACE_SECONDS = 2.0
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(arguments: list[str]) -> int:
    uid, gid, pid_file, stop_signal, *command = arguments
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wake = _wake_on_signals()
    guard = os.getpid()
    child = os.fork()
    if child == 0:
        _become(command, int(uid), int(gid), guard, libc)
    _write_pid(pid_file, child)
    try:
        code = _watch(child, int(stop_signal), wake)
    finally:
        _kill_tree()
        _remove(pid_file)
    return code


def _wake_on_signals() -> int:
    """A descriptor that gets one byte, its number, per signal; no signal from here on is missed."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (*_PASSED_ON, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    return reader


def _become(command: list[str], uid: int, gid: int, guard: int, libc: ctypes.CDLL) -> None:
    """In the forked child: drop privileges, tie its life to the guard's, run the command."""
    try:
        for number in (*_PASSED_ON, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        if uid >= 0:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        # after setuid, which clears it
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != guard:
            os._exit(1)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.closerange(3, 65536)  # the supervisor's lock among them: the guard keeps it, the child must not
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        os.write(2, f"cannot run {command[0]}: {error.strerror}\n".encode())
        os._exit(127)


def _watch(child: int, stop_signal: int, wake: int) -> int:
    """Wait for the child's end; pass signals on; when the supervisor is gone, stop the child within the grace."""
    deadline = None
    while True:
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        watched = [wake] if deadline is not None else [wake, 0]
        ready, _, _ = select.select(watched, [], [], timeout)
        code = _reap(child)
        if code is not None:
            return code
        if wake in ready:
            for number in os.read(wake, 64):
                if number in _PASSED_ON:
                    os.kill(child, stop_signal)
        if 0 in ready:
            os.kill(child, stop_signal)
            deadline = time.monotonic() + GRACE_SECONDS
        elif not ready:
            return 128 + signal.SIGKILL


def _reap(child: int) -> int | None:
    """Collect every process that has ended; the child's exit code once it is among them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == child:
            ended = os.waitstatus_to_exitcode(status)
            code = ended if ended >= 0 else 128 - ended


def _kill_tree() -> None:
    """Kill what is left of the child's tree. Each killed parent's children become ours, hence the loop."""
    own = os.getpid()
    while True:
        try:
            with open(f"/proc/{own}/task/{own}/children", encoding="ascii") as file:
                children = [int(pid) for pid in file.read().split()]
        except OSError:
            return
        if not children:
            return
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        os.wait()


def _write_pid(path: str, pid: int) -> None:
    """On a full disk the child runs without."""
    with contextlib.suppress(OSError):
        with open(f"{path}.new", "w", encoding="ascii") as file:
            file.write(f"{pid}\n")
        os.replace(f"{path}.new", path)


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
