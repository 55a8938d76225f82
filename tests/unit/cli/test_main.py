"""The command as a process: exit codes, one-line errors, no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.cli.shipped import example
from tests.unit.cli.fake_admin import FakeAdmin, serving


def headrace(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    command = (sys.executable, "-m", "headrace.cli.main", *arguments)
    return subprocess.run(command, env={**clean, **env}, capture_output=True, text=True, check=False)


def test_help_names_every_command() -> None:
    done = headrace("--help")
    assert done.returncode == 0
    for name in (
        "up",
        "serve",
        "apply",
        "get",
        "delete",
        "lint",
        "import",
        "demo",
        "migrate",
        "topics",
        "republish",
        "diff",
        "verify",
        "versions",
        "restore",
        "list",
    ):
        assert f" {name} " in done.stdout
    assert " rebuild " in done.stdout
    assert " export " in done.stdout
    assert " dead-letters " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("serve", "kitchen"), "there is no service 'kitchen'"),
        (("get", "segments"), "is `headrace up` running?"),
        (("rfm",), "is `headrace up` running?"),
        (("rfm", "compute", "--segment", "champions"), "is `headrace up` running?"),
        (("apply", "-f", "no.yaml"), "no.yaml: cannot be read"),
        (("import", "no.csv"), "cannot read no.csv: No such file or directory"),
        (("topics", "create"), "HEADRACE_LOG_URL is not set"),
    ],
)
def test_an_error_is_said_without_a_traceback(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = headrace(
        *arguments, HEADRACE_ADMIN_TOKEN="t", HEADRACE_SEGMENTER_PORT="1", HEADRACE_DATA_DIR=str(tmp_path)
    )
    assert done.returncode == 1
    assert done.stderr.startswith("headrace: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_several_files_may_follow_one_option() -> None:
    files = [str(path) for path in sorted(example("segments").glob("*.yaml"))]
    done = headrace("lint", "-f", *files)
    assert (done.returncode, done.stdout) == (0, f"{len(files)} definitions are right\n")


def test_the_shipped_sample_imports_whole_without_a_terminal(tmp_path: Path) -> None:
    sample, mapping = example("retail/online_retail_sample.csv.gz"), example("retail/mapping.yaml")
    done = headrace(
        *("import", str(sample), "--mapping", str(mapping), "--dry-run", "--rejected", str(tmp_path / "r.csv"))
    )
    assert done.returncode == 0
    assert ", 0 rows rejected, " in done.stdout
    assert not (tmp_path / "r.csv").exists()


def test_a_row_in_a_pipe_is_one_line() -> None:
    name = "Five products viewed within a week, or a link in a message within two weeks, on whatever device"
    with serving(FakeAdmin()) as admin:
        admin.kept["/v1/segments/engaged"] = {"id": "engaged", "kind": "segment", "name": name}
        done = headrace("get", "segments", HEADRACE_ADMIN_TOKEN="t", HEADRACE_SEGMENTER_URL=admin.url)
    assert done.returncode == 0, done.stderr
    assert any(line.startswith("engaged") and name in line for line in done.stdout.splitlines())
