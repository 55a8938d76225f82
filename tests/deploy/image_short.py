"""The build without the package index: what takes a minute is taken from the environment that runs the tests,
whose packages `make` has installed from the same pins. Which packages the image has is still what the Dockerfile
says."""

import os
from collections.abc import Callable, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import cache_from_source
from pathlib import Path

from deploy.packages.lock import read_lock
from tests.deploy.image_root import Root, link_or_copy

FULL = "HEADRACE_TEST_IMAGE"


def instead() -> Mapping[str, Callable[[Root, str], str]]:
    """For `Build.instead`; empty when the variable above is `full`."""
    if os.environ.get(FULL, "") == "full":
        return {}
    return {"python -m venv /build": _without_pip, "--requirement": _from_here, "-m compileall": _only_ours}


def _without_pip(root: Root, command: str) -> str:
    return command.replace("python -m venv /build", "python -m venv --without-pip /build")


def _from_here(root: Root, command: str) -> str:
    """Install the pins of both files. Returns no command."""
    for lock, environment in (("build.lock", "build"), ("run.lock", "opt/headrace")):
        (site_packages,) = (root.path / environment).glob("lib/python3*/site-packages")
        for pin in read_lock((root.path / "build" / lock).read_text(encoding="utf-8")):
            try:
                _copy(distribution(pin.name), pin.version, site_packages)
            except PackageNotFoundError:
                if not pin.marker:  # the others are for another system
                    raise
    pip = distribution("pip")
    (site_packages,) = (root.path / "build").glob("lib/python3*/site-packages")
    _copy(pip, pip.version, site_packages)
    return ""


def _copy(package: Distribution, version: str, site_packages: Path) -> None:
    assert package.version == version, f"{package.name}: .venv is not that of the lock; run make"
    for file in package.files or ():
        if file.parts[0] == "..":
            continue  # a script, or a file of another place
        origin = Path(str(file.locate()))
        if origin.suffix == ".pyc":
            continue
        _copy_file(origin, site_packages / file)
        if origin.suffix == ".py" and Path(compiled := cache_from_source(str(origin))).exists():
            _copy_file(Path(compiled), Path(cache_from_source(str(site_packages / file))))


def _copy_file(origin: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    link_or_copy(str(origin), str(target))


def _only_ours(root: Root, command: str) -> str:
    site_packages = "/opt/headrace/lib/python3*/site-packages"
    return command.replace("/opt/headrace/lib", f"{site_packages}/headrace {site_packages}/services")
