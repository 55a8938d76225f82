"""Engines that meet a full disk, a stale lock file, an interrupted initdb."""

import json
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.contracts.survey_link import read_survey_keys
from headrace.local.account import unprivileged_account
from headrace.local.binaries import postgres_server
from headrace.local.data_folder import DataFolder
from headrace.local.errors import FolderUnusable, StartFailed
from headrace.local.placement import place
from headrace.local.ports import free_port
from headrace.local.postgres import Postgres
from tests import engines
from tests.e2e.wait import wait_until


@pytest.fixture
def cluster() -> Iterator[Postgres]:
    """A Postgres that is not initialized yet."""
    with engines.data_folder() as path:
        account = unprivileged_account()
        placement = place(path / "postgres", path.name, postgres_server(), account)
        yield Postgres(placement, free_port(), secrets.token_urlsafe(16), account, engines.FAST)


def test_a_killed_initdb_leaves_nothing_that_is_taken_for_a_cluster(cluster: Postgres) -> None:
    run = cluster.placement.cluster.parent
    with pytest.raises(RuntimeError):
        _initialize_and_kill(cluster, run)
    assert not cluster.initialized
    engines.initialize(cluster, run)
    with engines.running(cluster.prepare(run), cluster.answers):
        assert (cluster.placement.cluster / "PG_VERSION").exists()
    assert not list(run.glob("*.partial"))


def _initialize_and_kill(cluster: Postgres, run: Path) -> None:
    with cluster.initialization(run) as program:
        process = subprocess.Popen(program.guarded(), stdin=subprocess.PIPE, env=dict(program.environment))
        wait_until(lambda: (run / "cluster.partial" / "PG_VERSION").exists())
        os.kill(int(program.pid_file.read_text()), signal.SIGKILL)
        assert process.stdin is not None
        process.stdin.close()
        raise RuntimeError(process.wait(10))


def test_a_postmaster_pid_left_by_a_kill_does_not_stop_the_next_start(cluster: Postgres) -> None:
    run = cluster.placement.cluster.parent
    engines.initialize(cluster, run)
    lock = cluster.placement.cluster / "postmaster.pid"
    # a process id that lives, but is no Postgres
    lock.write_text(f"{os.getppid()}\n{cluster.placement.cluster}\n0\n{cluster.port}\n\n127.0.0.1\n 1 1\nready\n")
    if cluster.account is not None:
        os.chown(lock, cluster.account.uid, cluster.account.gid)
    assert not cluster.answers()  # nobody listens
    with engines.running(cluster.prepare(run), cluster.answers), pytest.raises(StartFailed, match="already runs"):
        cluster.prepare(run)


def test_a_lock_left_by_a_kill_is_recovered(tmp_path: Path) -> None:
    tmp_path.joinpath("lock").write_text("1\n")
    DataFolder.open(tmp_path).close()


def test_a_lock_that_is_held_names_the_holder_and_ends_with_it(tmp_path: Path) -> None:
    folder = DataFolder.open(tmp_path)
    with pytest.raises(FolderUnusable, match=rf"process {os.getpid()}\)"):
        DataFolder.open(tmp_path)
    folder.close()
    DataFolder.open(tmp_path).close()


def test_a_lock_that_children_of_a_killed_up_still_hold_is_waited_for(tmp_path: Path) -> None:
    folder = DataFolder.open(tmp_path)
    with subprocess.Popen(["sleep", "0.3"], pass_fds=(folder.lock,)) as child:
        with subprocess.Popen(["true"]) as killed:
            killed.wait()
        (tmp_path / "lock").write_text(f"{killed.pid}\n")
        folder.close()
        DataFolder.open(tmp_path).close()
        assert child.poll() is not None


def test_a_damaged_deployment_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "deployment.json").write_text("{")
    folder = DataFolder.open(tmp_path)
    try:
        with pytest.raises(FolderUnusable, match=r"deployment\.json is damaged"):
            folder.deployment(None, default=4)
    finally:
        folder.close()


def test_a_folder_of_before_there_were_surveys_gets_a_key_for_their_links_once(tmp_path: Path) -> None:
    folder = DataFolder.open(tmp_path)
    made = folder.deployment(None, default=4)
    path = tmp_path / "deployment.json"
    kept = json.loads(path.read_text())
    del kept["survey_key"]
    path.write_text(json.dumps(kept))
    again = folder.deployment(None, default=4)
    assert replace(again, survey_key=made.survey_key) == made
    assert read_survey_keys("K", f"1:{again.survey_key}") != read_survey_keys("K", f"1:{made.survey_key}")
    assert folder.deployment(None, default=4) == again
    assert path.stat().st_mode & 0o077 == 0
    folder.close()


def test_a_folder_on_a_full_disk_says_so(tmp_path: Path) -> None:
    (tmp_path / "deployment.json.partial").symlink_to("/dev/full")
    folder = DataFolder.open(tmp_path)
    try:
        with pytest.raises(FolderUnusable, match="the disk is full"):
            folder.deployment(None, default=4)
    finally:
        folder.close()
    assert not (tmp_path / "deployment.json").exists()
