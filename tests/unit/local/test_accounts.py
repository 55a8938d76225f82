"""Who the engines run as, and where their files go: as root, as an ordinary user, behind closed folders."""

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.local import account
from headrace.local.account import ACCOUNT, reaches, unprivileged_account
from headrace.local.binaries import postgres_server
from headrace.local.errors import FolderUnusable, LocalError
from headrace.local.placement import SYSTEM_FOLDER, place
from headrace.local.ports import free_port
from headrace.local.postgres import Postgres
from headrace.local.program import Account
from tests import engines
from tests.e2e.stack import Stack
from tests.unit.local.fake import FAKE_UP, fake_stack

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives Postgres an account of its own")


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder that only its owner can pass."""
    path = Path(tempfile.mkdtemp(prefix="headrace-test-"))
    yield path
    assert path.stat().st_mode & 0o777 == 0o700, "a folder outside the data folder has changed its mode"
    shutil.rmtree(path)


def owner(stack: Stack, name: str) -> int:
    return Path(f"/proc/{stack.pids()[name]}").stat().st_uid


def test_an_ordinary_user_runs_everything_as_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert unprivileged_account() is None


@as_root
def test_as_root_only_postgres_runs_as_the_account_made_for_it(up: Stack) -> None:
    assert owner(up, "postgres") == pwd.getpwnam(ACCOUNT).pw_uid != 0
    assert {owner(up, name) for name in ("log", "state", "ingest")} == {0}
    for name in ("deployment.json", "log", "state", "logs", "run", "outbox"):
        assert (up.data_dir / name).stat().st_mode & 0o077 == 0, name


@as_root
def test_behind_a_closed_folder_the_cluster_goes_to_the_system_folder_and_is_found_again(closed: Path) -> None:
    with fake_stack(data_dir=closed / "data") as up:
        deployment = json.loads((up.data_dir / "deployment.json").read_text())["id"]
        home = SYSTEM_FOLDER / deployment
        try:
            assert (home / "cluster" / "PG_VERSION").exists()
            assert not (up.data_dir / "postgres" / "cluster").exists()
            found = place(up.data_dir / "postgres", deployment, postgres_server(), unprivileged_account())
            assert found.cluster == home / "cluster"
        finally:
            up.stop()
            shutil.rmtree(home)


@as_root
def test_programs_behind_a_closed_folder_are_copied_and_run(closed: Path) -> None:
    user = unprivileged_account()
    assert user is not None
    package = postgres_server().parents[2]
    for name in (package.name, f"{package.name}.libs"):
        (closed / name).symlink_to(package.with_name(name))
    server = closed / postgres_server().relative_to(package.parent)
    with engines.data_folder() as path:
        placement = place(path / "postgres", "unused", server, user)
        assert placement.server.is_relative_to(path)
        assert place(path / "postgres", "unused", server, user) == placement
        engine = Postgres(placement, free_port(), "secret", user, engines.FAST)
        engines.initialize(engine, path)
        with engines.running(engine.prepare(path), engine.answers):
            assert reaches(user, placement.server)


@as_root
def test_a_cluster_that_went_out_of_reach_is_not_replaced_by_an_empty_one(closed: Path) -> None:
    user = unprivileged_account()
    (closed / "postgres" / "cluster").mkdir(parents=True)
    with pytest.raises(FolderUnusable, match="can no longer reach"):
        place(closed / "postgres", "unused", postgres_server(), user, system=closed / "system")


@as_root
def test_without_useradd_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "ACCOUNT", "headrace-absent")
    monkeypatch.setattr(shutil, "which", lambda name, path: None)
    with pytest.raises(LocalError, match="install the package passwd"):
        unprivileged_account()


@as_root
def test_an_account_that_is_root_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "ACCOUNT", "root")
    with pytest.raises(LocalError, match="is root"):
        unprivileged_account()


@as_root
def test_root_s_stack_runs_as_an_ordinary_user_too() -> None:
    nobody = pwd.getpwnam("nobody")
    # the right to pass closed folders is for Python itself, which may be installed below /root
    passing = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    change = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    if subprocess.run([*change, *passing, "true"], capture_output=True, check=False).returncode:
        passing = []
    if not passing and not reaches(Account(nobody.pw_uid, nobody.pw_gid), Path(FAKE_UP[0])):
        pytest.skip("Python is below a closed folder, and there is no right to let another user pass it")
    with engines.data_folder() as path:
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
        stack = fake_stack(data_dir=path / "data")
        stack.prefix = (*change, *passing)
        with stack as up:
            assert {owner(up, name) for name in up.pids()} == {nobody.pw_uid}
            assert up.data_dir.stat().st_mode & 0o777 == 0o700
