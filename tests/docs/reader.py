"""A reader with a fresh clone, a terminal and a running platform, who does what a page says from top to bottom."""

import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, Block
from tests.docs.shell import Shell
from tests.docs.shown import Values, filled, same_json, same_text, unfilled
from tests.e2e.stack import Stack

ELSEWHERE = {"docker", "cluster", "kafka", "stopped"}
"""Marks of what needs more than this platform."""
SAME: Mapping[str, Callable[[str, str, Values], Values | None]] = {"text": same_text, "json": same_json}
"""How what is shown is compared, by the language of its block."""

_BEFORE = Path(__file__).with_name("before")
_LOOKUP = _BEFORE / "lookup.sh"
_PATIENCE = 30.0
_PAUSE = 0.1  # looking must not starve what is looked at
_ENGINES = ("HEADRACE_DATABASE_URL", "HEADRACE_LOG_URL", "HEADRACE_REDIS_URL")
_PORTS = {"8080": "ingest", "8081": "profiles", "8082": "segmenter", "8083": "messenger"}


class Reader:
    """Goes through one page. `values` are what the reader has learnt: keys from the table of `headrace up`, ids
    from answers."""

    def __init__(self, stack: Stack, clone: Path, scratch: Path) -> None:
        self._stack, self._clone, self._scratch = stack, clone, scratch
        self.values: Values = {"write key": stack.write_key, "admin token": stack.admin_token}

    def follow(self, page: str, blocks: Sequence[Block]) -> None:
        """Raises AssertionError at the first command that fails, or says something else than the page shows."""
        with Shell(self._clone, self._environment(), scratch=self._scratch) as shell:
            self._prepare(shell, _BEFORE / f"{Path(page).stem}.sh")
            for number, block in enumerate(blocks):
                if block.language == "sh" and not block.marks & ELSEWHERE:
                    after = blocks[number + 1] if number + 1 < len(blocks) else None
                    self._carry_out(shell, block, after if after and "output" in after.marks else None)
                elif block.language == "python" and not block.marks & ELSEWHERE:
                    self._run_python(shell, block)

    def here(self, text: str) -> str:
        """A page's words for the addresses and keys of this platform."""
        text = re.sub(r"\b808[0-3]\b", lambda port: str(self._stack.ports[_PORTS[port[0]]]), text)
        text = text.replace("https://cdp.example.com", self._stack.ingest_url)
        return filled(re.sub(r"\bWRITE_KEY\b", self._stack.write_key, text), self.values)

    def _prepare(self, shell: Shell, script: Path) -> None:
        """What the page supposes to be there. A line `name = value` that the script says is learnt."""
        if not script.exists():
            return
        block = Block(script.name, 1, "sh", frozenset({"until"}), _LOOKUP.read_text() + script.read_text())
        said = self._carry_out(shell, block, None)
        self.values |= dict(re.findall(r"^([a-z ]+) = (.+)$", said, re.MULTILINE))

    def _carry_out(self, shell: Shell, block: Block, shown: Block | None) -> str:
        """What was said."""
        command = self.here(block.text)
        assert not unfilled(command), f"{block}: nothing above says what {unfilled(command)} is"
        deadline = time.monotonic() + (_PATIENCE if "until" in block.marks else 0.0)
        while True:
            said, code = shell.run(command)
            wrong = self._wrong(block, shown, said, code)
            if wrong is None:
                return said
            if time.monotonic() >= deadline:
                raise AssertionError(wrong)
            time.sleep(_PAUSE)

    def _wrong(self, block: Block, shown: Block | None, said: str, code: int) -> str | None:
        """What is not as the page says; None: all is, and learnt."""
        if bool(code) != ("fails" in block.marks):
            return f"{block} ended with exit code {code}:\n{said}"
        if shown is None:
            return None
        learnt = SAME[shown.language](self.here(shown.text), said, self.values)
        if learnt is None:
            return f"{shown} shows\n{shown.text}\nand {block} said\n{said}"
        self.values |= learnt
        return None

    def _run_python(self, shell: Shell, block: Block) -> None:
        file = self._scratch / "snippet.py"
        file.write_text(self.here(block.text))
        said, code = shell.run(f".venv/bin/python -W error {file}")
        assert code == 0, f"{block} ended with exit code {code}:\n{said}"

    def _environment(self) -> dict[str, str]:
        """Of the platform, with the clone's commands first in the PATH. curl fails where it is answered an error,
        and pip shows what it would do, without network."""
        (self._scratch / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
        programs = f"{self._clone}/.venv/bin:{os.environ['PATH']}"
        urls = {f"HEADRACE_{service.upper()}_URL": self._stack.url(service) for service in _PORTS.values()}
        # as with engines of one's own: migrations and topics are looked after by hand
        urls |= {name: self._stack.setting(name) for name in _ENGINES}
        tools = {"CURL_HOME": str(self._scratch), "PIP_NO_INDEX": "1", "PIP_DRY_RUN": "1", "LC_ALL": "C.UTF-8"}
        return {**self._stack.env, **urls, **tools, "PATH": programs}


def fresh_clone(folder: Path, data_dir: Path, python: str) -> None:
    """What a checkout has beside a running `headrace up`: the repository's files, its `.venv`, the data. `make`
    tells only whether it would know what to do: what its targets do is CI's own business."""
    make = shutil.which("make")
    for name in ("docs", "examples", "deploy"):
        shutil.copytree(ROOT / name, folder / name)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, line in {"python": f'exec {python} "$@"', "make": f'exec {make} --dry-run "$@" >/dev/null'}.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    (folder / ".headrace").symlink_to(data_dir)


def need(*programs: str) -> None:
    """Skip where a reader's ordinary programs are missing."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"the pages' commands need {', '.join(missing)} (Debian, Ubuntu: apt-get install them)")
