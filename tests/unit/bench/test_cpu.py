"""CPU seconds of processes, theirs and their children's."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.bench import cpu
from tests.e2e.wait import wait_until

_SPIN = "import time\nwhile time.process_time() < 0.3: pass\n"
_PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {_SPIN!r}], check=True)
print("ended", flush=True)
child = subprocess.Popen([sys.executable, "-c", {_SPIN!r} + "sys = __import__('sys'); sys.stdin.read()"],
                         stdin=subprocess.PIPE)
sys.stdin.read()
child.communicate()
"""


@pytest.fixture
def parent() -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.communicate()


def test_children_count_while_they_run_and_after_they_have_ended(parent: "subprocess.Popen[str]") -> None:
    assert parent.stdout is not None
    assert parent.stdout.readline() == "ended\n"
    assert 0.28 < cpu.seconds(parent.pid) < 5
    wait_until(lambda: len(cpu.tree(parent.pid)) == 2, what="the second child")
    assert cpu.parent(cpu.tree(parent.pid)[1]) == parent.pid
    wait_until(lambda: cpu.seconds(parent.pid) > 0.56, what="the CPU seconds of a child that runs")


def test_a_process_is_kept_on_one_core_with_its_children(parent: "subprocess.Popen[str]") -> None:
    wait_until(lambda: len(cpu.tree(parent.pid)) == 2, what="a child")
    cpu.pin(parent.pid, cpu.client_core())
    assert os.sched_getaffinity(parent.pid) == {cpu.client_core()}
