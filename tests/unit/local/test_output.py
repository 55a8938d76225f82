"""What `headrace up` shows and keeps."""

import os
from pathlib import Path

from headrace.local.output import LogFile, Terminal
from headrace.local.process import describe_end
from tests.e2e.wait import wait_until


def test_lines_carry_their_program_s_name_without_colours_off_a_terminal(tmp_path: Path) -> None:
    with (tmp_path / "output").open("wb") as file:
        terminal = Terminal(file.fileno())
        terminal.show("ingest", "hello")
        terminal.print("a table")
        terminal.close()
    assert (tmp_path / "output").read_text() == "ingest    | hello\na table\n"


def test_a_reader_that_never_reads_does_not_block() -> None:
    reader, writer = os.pipe()
    terminal = Terminal(writer)
    for number in range(50_000):
        terminal.show("ingest", f"line {number}")
    terminal.close(timeout=0.1)
    os.close(reader)
    wait_until(lambda: not terminal.writing)
    os.close(writer)


def test_a_reader_that_is_gone_does_not_matter() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    terminal = Terminal(writer)
    terminal.show("ingest", "hello")
    terminal.close()
    assert not terminal.writing
    os.close(writer)


def test_a_log_file_stays_below_its_limit_and_keeps_the_one_before(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log", limit=1000)
    for number in range(200):
        log.write(f"line {number:03}")
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.1"]
    assert all(path.stat().st_size <= 1010 for path in tmp_path.iterdir())
    assert (tmp_path / "a.log").read_text().endswith("line 199\n")


def test_a_log_file_on_a_full_disk_loses_lines_only(tmp_path: Path) -> None:
    (tmp_path / "a.log").symlink_to("/dev/full")
    log = LogFile(tmp_path / "a.log")
    log.write("lost")
    log.close()


def test_why_a_program_ended() -> None:
    assert describe_end(137, ["Killed"]) == "killed by signal 9"
    assert describe_end(1, ["first", "last", ""]) == "exit code 1: last"
    assert describe_end(0, []) == "exit code 0"
    assert describe_end(1, ["Can't write: No space left on device", "bye"]) == "the disk is full: free some space"
