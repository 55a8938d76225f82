"""The program that renders the manifests: kubectl, kustomize, or a kustomize that Go makes here."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tools"
MODULE = "sigs.k8s.io/kustomize/kustomize/v5@v5.8.1"
OLDEST = (5, 0)

_MISSING = (
    "the manifests are rendered by kustomize 5 or newer, and there is none: install kubectl 1.27 or newer, or "
    f"kustomize 5 (go install {MODULE}), or Go 1.24 or newer, with which `make check-deploy` makes it"
)


class NoKustomize(Exception):
    """No program here renders the manifests; the message says what to install."""


def renderer() -> Sequence[str]:
    """The command that a folder's path is added to. Raises NoKustomize."""
    if (kubectl := shutil.which("kubectl")) and _kubectl_version(kubectl) >= OLDEST:
        return (kubectl, "kustomize")
    for program in (shutil.which("kustomize"), str(TOOLS / "kustomize")):
        if program and _kustomize_version(program) >= OLDEST:
            return (program, "build")
    return (str(_made()), "build")


def _made() -> Path:
    """kustomize, compiled by Go into .tools, once. Raises NoKustomize."""
    go = shutil.which("go")
    if go is None:
        raise NoKustomize(_MISSING)
    environment = {**os.environ, "GOBIN": str(TOOLS)}
    done = subprocess.run([go, "install", MODULE], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoKustomize(f"{_MISSING}. Go said: {done.stderr.strip()}")
    return TOOLS / "kustomize"


def _kubectl_version(program: str) -> tuple[int, ...]:
    said = _output(program, "version", "--client", "--output=json")
    try:
        return _numbers(json.loads(said)["kustomizeVersion"])
    except (ValueError, KeyError):  # older ones do not say
        return (0,)


def _kustomize_version(program: str) -> tuple[int, ...]:
    return _numbers(_output(program, "version"))


def _numbers(text: str) -> tuple[int, ...]:
    found = re.search(r"v(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0,)


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout
    except OSError:
        return ""
