"""The guard: nothing of a child's tree outlives the supervisor or the child itself."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.local.program import Program
from tests.e2e.wait import wait_until

# a child that ignores SIGTERM, with a grandchild in a session of its own that does so too
_STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(1000)
"""


def start(tmp_path: Path, *command: str) -> "subprocess.Popen[bytes]":
    program = Program("child", command, tmp_path / "child.pid")
    return subprocess.Popen(program.guarded(), stdin=subprocess.PIPE, stderr=subprocess.PIPE)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Close what connects us to the guard, which ends it and all below it."""
    for pipe in (process.stdin, process.stderr):
        assert pipe is not None
        pipe.close()
    process.wait(10)


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def stubborn(tmp_path: Path) -> "tuple[subprocess.Popen[bytes], int, int]":
    process = start(tmp_path, sys.executable, "-c", _STUBBORN, str(tmp_path / "grandchild"))
    grandchild = wait_until(lambda: _number(tmp_path / "grandchild"), what="the grandchild")
    child = wait_until(lambda: _number(tmp_path / "child.pid"), what="the pid file")
    return process, child, grandchild


def _number(path: Path) -> int | None:
    text = path.read_text() if path.exists() else ""
    return int(text) if text else None


def test_a_closed_pipe_ends_a_stubborn_tree_within_5_seconds(tmp_path: Path) -> None:
    process, child, grandchild = stubborn(tmp_path)
    end(process)
    wait_until(lambda: gone(child) and gone(grandchild), 5.0)
    assert not (tmp_path / "child.pid").exists()


def test_a_child_that_dies_takes_its_grandchildren_along(tmp_path: Path) -> None:
    process, child, grandchild = stubborn(tmp_path)
    os.kill(child, signal.SIGKILL)
    assert process.wait(5) == 128 + signal.SIGKILL
    assert gone(grandchild)
    end(process)


def test_a_guard_that_is_killed_takes_its_child_along(tmp_path: Path) -> None:
    process, child, grandchild = stubborn(tmp_path)
    process.kill()
    try:
        wait_until(lambda: gone(child), 5.0)
    finally:
        os.kill(grandchild, signal.SIGKILL)
        end(process)


def test_without_room_for_its_pid_file_the_child_runs(tmp_path: Path) -> None:
    (tmp_path / "child.pid.new").symlink_to("/dev/full")
    process = start(tmp_path, sys.executable, "-c", "raise SystemExit(5)")
    assert process.wait(10) == 5
    end(process)


@pytest.mark.parametrize("code", [0, 3])
def test_it_ends_as_its_child_did(tmp_path: Path, code: int) -> None:
    process = start(tmp_path, sys.executable, "-c", f"raise SystemExit({code})")
    assert process.wait(10) == code
    end(process)


def test_its_signal_reaches_the_child_as_the_child_s_own(tmp_path: Path) -> None:
    script = (
        "import signal; signal.signal(signal.SIGINT, lambda *_: exit(7)); print(end='', flush=True);"
        " open(__import__('sys').argv[1], 'w').write('1'); signal.pause()"
    )
    command = (sys.executable, "-c", script, str(tmp_path / "up"))
    program = Program("child", command, tmp_path / "child.pid", stop_signal=signal.SIGINT)
    process = subprocess.Popen(program.guarded(), stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: _number(tmp_path / "up"))
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 7
    end(process)


def test_the_child_inherits_no_descriptor_and_reads_nothing(tmp_path: Path) -> None:
    script = "import os, sys; print(os.readlink('/proc/self/fd/0'), os.listdir('/proc/self/fd'), file=sys.stderr)"
    program = Program("child", (sys.executable, "-c", script), tmp_path / "child.pid")
    lock = os.open(tmp_path / "lock", os.O_CREAT)
    process = subprocess.Popen(program.guarded(), stdin=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=(lock,))
    os.close(lock)
    assert process.wait(10) == 0
    assert process.stderr is not None
    # 3 is the listing itself
    assert process.stderr.read() == b"/dev/null ['0', '1', '2', '3']\n"
    end(process)


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    process = start(tmp_path, "/nonexistent/program")
    assert process.wait(10) == 127
    assert process.stderr is not None
    assert process.stderr.read() == b"cannot run /nonexistent/program: No such file or directory\n"
    end(process)
