"""A disk that is full, at the start and while running: a small file system of its own."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.e2e.wait import wait_until
from tests.unit.local.fake import fake_stack, refused


@pytest.fixture
def small_disk(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A mounted file system of `request.param` megabytes."""
    path = Path(tempfile.mkdtemp(prefix="headrace-test-"))
    options = f"size={request.param}m,mode=0711"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], capture_output=True, check=False
    )
    if mounted.returncode:
        path.rmdir()
        pytest.skip("needs the right to mount a small file system (root with CAP_SYS_ADMIN)")
    yield path
    subprocess.run(["umount", "--lazy", path], check=True)
    path.rmdir()


@pytest.mark.parametrize("small_disk", [30], indirect=True)
def test_a_disk_that_fills_while_postgres_is_made_is_said_in_one_line(small_disk: Path) -> None:
    said = refused(fake_stack({"HEADRACE_MIN_FREE_MB": "0"}, data_dir=small_disk / "data"))
    assert "initdb failed: the disk is full" in said


@pytest.mark.parametrize("small_disk", [200], indirect=True)
def test_a_disk_that_fills_later_is_named_and_an_acknowledged_append_survives_it(small_disk: Path) -> None:
    with fake_stack({"HEADRACE_MIN_FREE_MB": "0"}, data_dir=small_disk / "data") as up:
        with _log(up.data_dir) as log:
            log.set("before", "kept")
        filler = small_disk / "filler"
        with pytest.raises(OSError, match="No space"):
            _fill(filler)
        with _log(up.data_dir) as log, pytest.raises((redis.ConnectionError, redis.ResponseError)):
            log.set("during", "x" * 100_000)
        wait_until(lambda: "log ended (the disk is full" in up.said())
        filler.unlink()
        wait_until(lambda: _kept(up.data_dir), 20)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 65_536)


def _kept(data_dir: Path) -> bool:
    """Whether the log serves again with what it had acknowledged, and without what it had not."""
    try:
        with _log(data_dir) as log:
            return bool(log.mget("before", "during") == [b"kept", None])
    except redis.ConnectionError:
        return False


def _log(data_dir: Path) -> "redis.Redis":
    words = dict(line.split(" ", 1) for line in (data_dir / "log" / "valkey.conf").read_text().splitlines())
    return redis.Redis(port=int(words["port"]), password=words["requirepass"], retry=Retry(NoBackoff(), 0))
