"""`headrace up` with real engines and stand-ins for the services: what it starts, keeps, survives and refuses."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path

import asyncpg

from headrace.local.ports import free_port
from headrace.local.postgres import DATABASE, USER
from headrace.local.stack import SERVICE_GRACE
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until
from tests.unit.local.fake import FAKE_UP, fake_stack, refused


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
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended just now
                children = [int(pid) for pid in task.read_text().split()]
                found += children
                waiting += children
    return found


async def test_migrations_run_in_the_order_of_the_services(up: Stack) -> None:
    cluster = up.data_dir / "postgres" / "cluster"
    port = (cluster / "postmaster.pid").read_text().splitlines()[3]
    password = json.loads((up.data_dir / "deployment.json").read_text())["engine_password"]
    connection = await asyncpg.connect(f"postgresql://{USER}:{password}@127.0.0.1:{port}/{DATABASE}")
    query = "SELECT (SELECT at FROM profiles.made) < (SELECT at FROM segmenter.made)"
    assert await connection.fetchval(query)
    await connection.close()


def test_a_service_and_an_engine_that_die_are_started_again_and_take_their_children_with_them(up: Stack) -> None:
    grandchild = int((up.data_dir / "profiles.grandchild").read_text())
    for name in ("profiles", "log", "postgres"):
        killed = up.kill_service(name)
        assert up.wait_restarted(name, killed) != killed
    assert not alive(grandchild)
    assert "profiles ended (killed by signal 9); it starts again in 0.2 s" in up.said()


def test_a_second_up_on_the_folder_is_refused(up: Stack) -> None:
    assert up.process is not None
    second = fake_stack(data_dir=up.data_dir)
    second.output = up.output.with_name("second.output")
    assert f"(process {up.process.pid})" in refused(second)


def test_a_clean_stop_ends_services_in_reverse_order_before_engines(up: Stack) -> None:
    assert set(up.pids()) == {"log", "state", "postgres", "profiles", "segmenter", "ingest"}
    members = family(up)
    assert up.stop(signal.SIGINT) == 0
    assert events(up)[-3:] == ["stop ingest", "stop segmenter", "stop profiles"]
    assert not [pid for pid in members if alive(pid)]
    assert not up.pids()
    for name in ("log", "state"):
        assert "bye bye" in (up.data_dir / "logs" / f"{name}.log").read_text()
    assert "database system is shut down" in (up.data_dir / "logs" / "postgres.log").read_text()


def test_data_survives_a_stop_and_keys_are_made_once(up: Stack) -> None:
    first = _table(up)
    assert {"write key", "admin token"} <= set(first)
    assert (up.data_dir / "deployment.json").stat().st_mode & 0o077 == 0
    control = up.data_dir / "postgres" / "cluster" / "global" / "pg_control"
    made = control.stat().st_ino
    up.restart()
    assert _table(up) == first
    assert control.stat().st_ino == made


def test_another_partition_count_than_the_folder_s_is_refused(up: Stack) -> None:
    with urllib.request.urlopen(up.url("ingest")) as answer:
        assert answer.read() == b"4"
    up.stop()
    other = fake_stack({"HEADRACE_PARTITIONS": "8"}, data_dir=up.data_dir)
    assert "HEADRACE_PARTITIONS=4, which cannot change" in refused(other)


def test_after_kill_9_of_up_nothing_survives_5_seconds_and_the_next_up_takes_over(up: Stack) -> None:
    assert up.process is not None
    members = family(up)
    assert len(members) > 15
    up.process.kill()
    up.process.wait()
    next_up = up.launch()
    wait_until(lambda: not [pid for pid in members if alive(pid)], 5.0, what="every child to be gone")
    wait_until(lambda: up.said().count("Headrace is ready") == 2, 60, what="the next up")
    assert next_up.poll() is None


def test_a_stop_in_the_middle_of_the_start_leaves_nothing_and_the_next_start_works() -> None:
    up = fake_stack()
    try:
        up.launch()
        wait_until(lambda: (up.data_dir / "postgres" / "cluster.partial" / "PG_VERSION").exists(), 30)
        members = family(up)
        assert up.stop() == 0
        assert "Headrace is ready" not in up.said()
        assert not [pid for pid in members if alive(pid)]
        up.start()
    finally:
        up.stop()
        up.remove()


def test_a_second_signal_does_not_wait_for_a_service_that_does_not_stop() -> None:
    with fake_stack({"FAKE_STUBBORN": "ingest"}) as up:
        assert up.process is not None
        members = family(up)
        up.process.send_signal(signal.SIGINT)
        wait_until(lambda: "stopping" in up.said())
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(SERVICE_GRACE) == 0
        assert not [pid for pid in members if alive(pid)]


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


def test_an_engine_by_url_that_does_not_answer_is_refused_without_its_password() -> None:
    nobody = f"redis://:secret@127.0.0.1:{free_port()}"
    urls = {"HEADRACE_LOG_URL": nobody, "HEADRACE_REDIS_URL": nobody}
    said = refused(fake_stack({**urls, "HEADRACE_DATABASE_URL": "postgresql://headrace:secret@127.0.0.1:1/none"}))
    assert "creating topics and schemas failed" in said
    assert "secret" not in said


def test_urls_replace_engines_and_stacks_run_side_by_side(
    up: Stack, log_url: str, redis_url: str, database_url: str
) -> None:
    urls = {"HEADRACE_LOG_URL": log_url, "HEADRACE_REDIS_URL": redis_url, "HEADRACE_DATABASE_URL": database_url}
    with fake_stack(urls) as beside:
        assert set(beside.pids()) == {"profiles", "segmenter", "ingest"}
        assert not (beside.data_dir / "postgres").exists()
        assert up.pids()["ingest"] != beside.pids()["ingest"]


def test_closed_outputs_stop_nothing() -> None:
    stack = fake_stack()
    stack.output.parent.mkdir(exist_ok=True)
    closing = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    try:
        stack.process = subprocess.Popen([*closing, *FAKE_UP], env=stack.env)
        wait_until(lambda: "ingest" in stack.pids(), 60, what="a start without outputs")
        standard = [os.readlink(f"/proc/{stack.process.pid}/fd/{number}") for number in (0, 1, 2)]
        assert standard == ["/dev/null"] * 3, "a file of ours would be mixed up with an output"
        killed = stack.kill_service("ingest")
        wait_until(lambda: stack.pids().get("ingest", killed) != killed, 30, what="a restart without outputs")
        assert stack.stop() == 0
    finally:
        stack.stop()
        stack.remove()


def test_locale_time_zone_home_and_a_long_path_do_not_matter() -> None:
    stack = fake_stack({"LANG": "cs_CZ.UTF-8", "LC_ALL": "cs_CZ.UTF-8", "TZ": "Asia/Tokyo"})
    stack.data_dir = stack.data_dir.parent / ("long " * 30) / "data"
    stack.env["HEADRACE_DATA_DIR"] = str(stack.data_dir)
    stack.env.pop("HOME", None)
    with stack:
        assert stack.stop() == 0


def _table(stack: Stack) -> dict[str, str]:
    """What the table of addresses says, by name."""
    rows = (line.strip().partition("  ") for line in stack.said().splitlines() if line.startswith("  "))
    return {name: value.strip() for name, _, value in rows}
