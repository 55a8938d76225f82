"""Carrying out a Dockerfile without Docker: each RUN by a shell in a root of its own, each COPY from the files
that .dockerignore lets through."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.deploy.image_dockerfile import Instruction, Stage, substitute
from tests.deploy.image_ignore import ignored
from tests.deploy.image_root import Process, Root, link_or_copy

BASE_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/"}
# How this machine reaches its package index, where pip is not asked to find it by itself.
_PASSED_ON = (
    "PIP_",
    "SSL_CERT_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
_NOT_HERE = ("PIP_CACHE_DIR", "PIP_FIND_LINKS")


class BuildFailed(Exception):
    """A step ended with an error; its own last words are the message."""


@dataclass(slots=True)
class Build:
    """`context` is the folder that Docker would be given, `patterns` those of its .dockerignore. `work` is a
    folder for the roots. `instead` says by a part of a RUN's text what is done in its place: it gets the root and
    the command, and gives the one to run, or "" for none."""

    context: Path
    patterns: list[str]
    work: Path
    instead: Mapping[str, Callable[[Root, str], str]] = field(default_factory=dict)
    roots: dict[str, Root] = field(default_factory=dict)

    def run(self, stages: list[Stage]) -> Root:
        """The root of the last stage. Raises BuildFailed."""
        for number, stage in enumerate(stages):
            root = self.roots[stage.name or str(number)] = Root(self.work / f"stage-{number}")
            root.make()
            self._stage(root, stage)
        return self.roots[stages[-1].name or str(len(stages) - 1)]

    def _stage(self, root: Root, stage: Stage) -> None:
        environment, folder = dict(BASE_ENVIRONMENT), "/"
        for instruction in stage.instructions:
            match instruction.word:
                case "ENV":
                    pairs = instruction.pairs().items()
                    environment |= {name: substitute(value, environment) for name, value in pairs}
                case "WORKDIR":
                    folder = instruction.text
                    _below(root, folder).mkdir(parents=True, exist_ok=True)
                case "COPY":
                    self._copy(root, instruction, folder)
                case "RUN":
                    self._run(root, instruction, environment, folder)

    def _copy(self, root: Root, instruction: Instruction, folder: str) -> None:
        *sources, target = instruction.words()
        stage = instruction.flags.get("from")
        for source in sources:
            into = Path(folder, target, Path(source).name) if target.endswith("/") else Path(folder, target)
            if stage:
                origin = _below(self.roots[stage], source)
                shutil.copytree(origin, _below(root, str(into)), symlinks=True, copy_function=link_or_copy)
            else:
                self._copy_files(source, _below(root, str(into)))

    def _copy_files(self, source: str, target: Path) -> None:
        origin = self.context / source
        found = sorted(origin.rglob("*")) if origin.is_dir() else [origin]
        names = {path: path.relative_to(self.context).as_posix() for path in found if path.is_file()}
        copied = [path for path, name in names.items() if not ignored(name, self.patterns)]
        if not copied:
            raise BuildFailed(f"COPY {source}: there is no such file, or .dockerignore keeps it out")
        for path in copied:
            place = target / path.relative_to(origin) if origin.is_dir() else target
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)

    def _run(self, root: Root, instruction: Instruction, environment: Mapping[str, str], folder: str) -> None:
        command = instruction.text
        for part, action in self.instead.items():
            command = action(root, command) if part in command else command
        if not command:
            return
        with tempfile.TemporaryDirectory(dir=self.work) as cache:
            process = Process(
                {**_passed_on(), **environment}, folder, writable=_caches(root, instruction, Path(cache))
            )
            words = root.command(["/bin/sh", "-c", command], process)
            done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildFailed(
                f"line {instruction.line}: exit code {done.returncode}\n{(done.stdout + done.stderr)[-4000:]}"
            )


def _below(root: Root, place: str) -> Path:
    return root.path / place.lstrip("/")


def _caches(root: Root, instruction: Instruction, empty: Path) -> dict[str, Path]:
    """`--mount=type=cache,target=…`: a folder that no stage keeps."""
    wanted = dict(part.partition("=")[::2] for part in instruction.flags.get("mount", "").split(","))
    if wanted.get("type") != "cache":
        return {}
    _below(root, wanted["target"]).mkdir(parents=True, exist_ok=True)
    return {wanted["target"]: empty}


def _passed_on() -> dict[str, str]:
    return {
        name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON) and name not in _NOT_HERE
    }
