"""`headrace up` with real engines and stand-ins for the services: what it starts, keeps, survives and refuses."""

import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.local.ports import free_port
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until
from tests.unit.local.fake import FAKE_UP, fake_stack, refused


@pytest.fixture
def up() -> Iterator[Stack]:
    with fake_stack() as running:
        yield running


def events(stack: Stack) -> list[str]:
    return (stack.data_dir / "events.txt").read_text().splitlines()


def alive(pid: int) -> bool:
    """Running, and not a zombie nobody has collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def family(stack: Stack) -> list[int]:
    """Every process below the stack's, grandchildren and Postgres' backends included."""
    assert stack.process is not None
    found, waiting = [], [stack.process.pid]
    while waiting:
        parent = waiting.pop()
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            children = [int(pid) for pid in task.read_text().split()]
            found += children
            waiting += children
    return found


def test_migrations_run_in_order_and_a_clean_stop_ends_services_in_reverse_order_before_engines(
    up: Stack,
) -> None:
    pids = up.pids()
    assert set(pids) == {"log", "state", "postgres", "profiles", "segmenter", "ingest"}
    members = family(up)
    assert up.stop(signal.SIGINT) == 0
    happened = events(up)
    assert happened.index("migrate profiles") < happened.index("migrate segmenter")
    assert happened[-3:] == ["stop ingest", "stop segmenter", "stop profiles"]
    assert not [pid for pid in members if alive(pid)]
    assert not up.pids()
    for name in ("log", "state"):
        assert "bye bye" in (up.data_dir / "logs" / f"{name}.log").read_text()
    assert "database system is shut down" in (up.data_dir / "logs" / "postgres.log").read_text()


def test_a_service_and_an_engine_that_die_are_started_again_and_take_their_children_with_them(up: Stack) -> None:
    grandchild = int((up.data_dir / "profiles.grandchild").read_text())
    for name in ("profiles", "log", "postgres"):
        killed = up.kill_service(name)
        assert up.wait_restarted(name, killed) != killed
    assert not alive(grandchild)
    assert "profiles ended (killed by signal 9); it starts again in 0.2 s" in up.said()


def test_after_kill_9_of_up_nothing_survives_5_seconds_and_the_next_up_takes_over(up: Stack) -> None:
    assert up.process is not None
    members = family(up)
    assert len(members) > 15
    up.process.kill()
    up.process.wait()
    up.start()
    assert not [pid for pid in members if alive(pid)]
    up.process.kill()
    up.process.wait()
    members = family(up)
    wait_until(lambda: not [pid for pid in members if alive(pid)], 5.0, what="every child to be gone")


def test_data_survives_a_stop_and_keys_are_made_once() -> None:
    with fake_stack({"HEADRACE_WRITE_KEY": "", "HEADRACE_ADMIN_TOKEN": ""}) as up:
        first = [line for line in up.said().splitlines() if "key" in line or "token" in line]
        deployment = up.data_dir / "deployment.json"
        assert deployment.stat().st_mode & 0o077 == 0
        cluster = (up.data_dir / "postgres" / "cluster" / "global" / "pg_control").stat().st_ino
        up.restart()
        assert [line for line in up.said().splitlines() if "key" in line or "token" in line] == first
        assert (up.data_dir / "postgres" / "cluster" / "global" / "pg_control").stat().st_ino == cluster


def test_a_second_up_on_the_folder_is_refused_and_one_beside_it_is_not(up: Stack) -> None:
    assert up.process is not None
    second = fake_stack(data_dir=up.data_dir)
    second.output = up.output.with_name("second.output")
    assert f"(process {up.process.pid})" in refused(second)
    with fake_stack() as beside:
        assert beside.pids()["postgres"] != up.pids()["postgres"]


def test_another_partition_count_than_the_folder_s_is_refused(up: Stack) -> None:
    with urllib.request.urlopen(up.url("ingest")) as answer:
        assert answer.read() == b"4"
    up.stop()
    up.env["HEADRACE_PARTITIONS"] = "8"
    up.output.write_bytes(b"")
    process = up.launch()
    assert process.wait(30) == 1
    assert "HEADRACE_PARTITIONS=4, which cannot change" in up.said()


def test_a_taken_port_is_named_with_the_variable_to_change() -> None:
    stack = fake_stack()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", stack.ports["segmenter"]))
        taken.listen()
        said = refused(stack)
    assert f"port {stack.ports['segmenter']}" in said
    assert "HEADRACE_SEGMENTER_PORT" in said


def test_one_port_for_two_services_is_refused() -> None:
    port = str(free_port())
    said = refused(fake_stack({"HEADRACE_INGEST_PORT": port, "HEADRACE_PROFILES_PORT": port}))
    assert f"port {port} is given to two services" in said


def test_a_disk_without_room_is_refused() -> None:
    assert "full" in refused(fake_stack({"HEADRACE_MIN_FREE_MB": "1000000000"}))


def test_a_folder_that_cannot_be_made_is_refused() -> None:
    said = refused(fake_stack({"HEADRACE_DATA_DIR": "/proc/headrace"}))
    assert "cannot use /proc/headrace" in said
    assert "HEADRACE_DATA_DIR" in said


def test_urls_replace_engines(log_url: str, redis_url: str, database_url: str) -> None:
    urls = {"HEADRACE_LOG_URL": log_url, "HEADRACE_REDIS_URL": redis_url, "HEADRACE_DATABASE_URL": database_url}
    with fake_stack(urls) as up:
        assert set(up.pids()) == {"profiles", "segmenter", "ingest"}
        assert not (up.data_dir / "postgres").exists()


@pytest.mark.parametrize("descriptors", ["closed", "unread"])
def test_an_output_that_is_closed_or_that_nobody_reads_stops_nothing(descriptors: str) -> None:
    stack = fake_stack()
    stack.output.parent.mkdir(exist_ok=True)
    closing = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"] if descriptors == "closed" else []
    reader, writer = os.pipe()
    try:
        stack.process = subprocess.Popen([*closing, *FAKE_UP], env=stack.env, stdout=writer, stderr=writer)
        os.close(reader)
        os.close(writer)
        wait_until(lambda: "ingest" in stack.pids(), 30, what="a start without readers")
        killed = stack.kill_service("ingest")
        wait_until(lambda: stack.pids().get("ingest", killed) != killed, 30, what="a restart without readers")
        assert stack.stop() == 0
    finally:
        stack.stop()
        stack.remove()


@pytest.mark.parametrize("variables", [{"LANG": "cs_CZ.UTF-8", "LC_ALL": "cs_CZ.UTF-8", "TZ": "Asia/Tokyo"}, {}])
def test_locale_time_zone_home_and_a_long_path_do_not_matter(variables: dict[str, str]) -> None:
    stack = fake_stack(variables)
    stack.data_dir = stack.data_dir.parent / ("long " * 30) / "data"
    stack.env["HEADRACE_DATA_DIR"] = str(stack.data_dir)
    for name in ("HOME", "LANG", "TZ", "LC_ALL"):
        if name not in variables:
            stack.env.pop(name, None)
    try:
        stack.start()
        assert stack.stop() == 0
    finally:
        stack.stop()
        stack.remove()
