"""Failpoints: each declared one exists, fires once at its hit, and none costs anything when they are off."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.contracts.errors import SettingsError
from headrace.runtime import failpoints, publisher
from headrace.runtime.failpoints import POINTS, Failed, arm, disarm, failpoint, fired_at
from headrace.runtime.settings import Environment
from tests.e2e.wait import wait_until

SERVICES = Path(__file__).parents[3] / "services"
_CALL = re.compile(r'\bfailpoint\("([a-z_]+)"\)')
_PROGRAM = """
import sys
from headrace.runtime import failpoints
from headrace.runtime.settings import Environment
failpoints.configure("profiles", Environment({"HEADRACE_FAILPOINTS": sys.argv[1]}))
for _ in range(3):
    failpoints.failpoint("after_commit")
print("went on")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    failpoints.configure("profiles", Environment({"HEADRACE_FAILPOINTS": str(tmp_path)}))
    yield tmp_path
    failpoints.configure("profiles", Environment({}))


@pytest.mark.parametrize("service", sorted(POINTS))
def test_the_declared_points_are_the_calls_in_the_code(service: str) -> None:
    sources = [path.read_text("utf-8") for path in (SERVICES / service).rglob("*.py")]
    calls = [point for source in sources for point in _CALL.findall(source)]
    if any(" Relay(" in source for source in sources):
        calls += _CALL.findall(Path(publisher.__file__).read_text("utf-8"))

    assert sorted(set(calls)) == sorted(POINTS[service])  # several transactions may share a name


def test_off_by_default() -> None:
    calls = 100_000

    started = time.process_time()
    for _ in range(calls):
        failpoint("after_commit")

    assert (time.process_time() - started) / calls < 2e-6


def test_an_armed_point_fires_once_at_its_hit(folder: Path) -> None:
    arm(folder, "profiles", "after_commit", "error", at=3)

    failpoint("after_commit")
    failpoint("after_commit")
    with pytest.raises(Failed, match=r"profiles\.after_commit"):
        failpoint("after_commit")
    failpoint("after_commit")

    assert fired_at(folder, "profiles", "after_commit") == pytest.approx(time.time(), abs=60)


def test_other_points_and_services_go_on(folder: Path) -> None:
    arm(folder, "profiles", "before_commit", "error")
    arm(folder, "segmenter", "after_commit", "error")

    failpoint("after_commit")

    assert fired_at(folder, "profiles", "before_commit") is None


def test_disarmed_it_counts_anew(folder: Path) -> None:
    arm(folder, "profiles", "after_commit", "error", at=2)
    failpoint("after_commit")
    disarm(folder, "profiles", "after_commit")
    arm(folder, "profiles", "after_commit", "error", at=2)

    failpoint("after_commit")
    with pytest.raises(Failed):
        failpoint("after_commit")


def test_a_killed_process_is_not_killed_again(tmp_path: Path) -> None:
    arm(tmp_path, "profiles", "after_commit", "kill", at=5)

    codes = [_run(tmp_path).wait() for _ in range(3)]

    assert codes == [0, -signal.SIGKILL, 0]  # 3 hits; the 5th; over


def test_a_stopped_process_goes_on_when_told(tmp_path: Path) -> None:
    arm(tmp_path, "profiles", "after_commit", "stop")

    with _run(tmp_path) as process:
        os.waitpid(process.pid, os.WUNTRACED)
        process.send_signal(signal.SIGCONT)

        assert process.wait() == 0


def test_a_blocked_point_stands_still_until_it_is_disarmed(folder: Path) -> None:
    arm(folder, "profiles", "after_commit", "block")
    thread = threading.Thread(target=failpoint, args=("after_commit",))

    thread.start()
    wait_until(lambda: fired_at(folder, "profiles", "after_commit"))
    assert thread.is_alive()
    disarm(folder, "profiles", "after_commit")
    thread.join(10)

    assert not thread.is_alive()


def test_a_wrong_setting_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="HEADRACE_FAILPOINTS"):
        failpoints.configure("profiles", Environment({"HEADRACE_FAILPOINTS": str(tmp_path / "missing")}))


def test_a_point_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no failpoint"):
        arm(tmp_path, "ingest", "after_commit")


def _run(folder: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen((sys.executable, "-c", _PROGRAM, str(folder)), stdout=subprocess.DEVNULL)
