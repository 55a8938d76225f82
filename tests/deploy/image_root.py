"""A root file system of its own for a command, from what this machine has: its /usr for the system of a base
image, its Python at the place where that image has one. Mount and process namespaces are the kernel's; it takes
root."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = ("hosts", "ld.so.cache", "login.defs", "nsswitch.conf", "pip.conf", "resolv.conf")
_ACCOUNTS = {
    "passwd": "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n",
    "group": "root:x:0:\nnogroup:x:65534:\n",
    "shadow": "root:*:20000:0:99999:7:::\n",
    "gshadow": "root:*::\n",
}
_DEVICES = ("null", "zero", "full", "random", "urandom")
PYTHON = Path(sys.base_prefix)


def why_not() -> str:
    """Why no such root can be made here; empty when it can."""
    if os.geteuid() != 0:
        return "mount namespaces and other user ids need root"
    programs = ("unshare", "chroot", "setpriv", "mount")
    if missing := [program for program in programs if not shutil.which(program)]:
        return f"{', '.join(missing)} of util-linux or coreutils is not installed"
    done = subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False)
    return "" if done.returncode == 0 else f"the kernel gives no namespaces: {done.stderr.decode().strip()}"


@dataclass(frozen=True, slots=True)
class Process:
    """How a command runs in a root. `environment` is complete. `user` is uid:gid. `writable` are folders of this
    machine by the place where they are seen; with `read_only`, nothing else but /tmp can be written."""

    environment: Mapping[str, str]
    folder: str = "/"
    user: str = "0:0"
    read_only: bool = False
    writable: Mapping[str, Path] | None = None


@dataclass(frozen=True, slots=True)
class Root:
    """The tree below `path`."""

    path: Path

    def make(self) -> None:
        """Lay out the base image: folders for the mounts, users, `python` on the PATH."""
        for name in ("dev/shm", "proc", "tmp", "usr", "opt", "var/cache", "var/lib", "etc", *_place(PYTHON)):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        for name in _SYSTEM:
            _like(Path("/", name), self.path / name)
        for name in _ETC:
            if Path("/etc", name).exists():
                shutil.copy(Path("/etc", name), self.path / "etc" / name)
        for name, text in _ACCOUNTS.items():
            (self.path / "etc" / name).write_text(text, encoding="utf-8")
        shutil.copytree("/etc/ssl/certs", self.path / "etc/ssl/certs", dirs_exist_ok=True)
        for name in _DEVICES:
            (self.path / "dev" / name).touch()
        (self.path / "local/bin").mkdir(parents=True)
        (self.path / "local/bin/python").symlink_to(f"/usr/bin/python3.{sys.version_info.minor}")

    def command(self, words: Sequence[str], process: Process) -> list[str]:
        """The command line that runs `words` in the root, as the first process of its own process namespace. The
        one that it starts waits for it and has its exit code."""
        script = "\n".join(["set -e", *self._mounts(process), f"exec {shlex.join(self._inside(words, process))}"])
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script]

    def _inside(self, words: Sequence[str], process: Process) -> list[str]:
        uid, gid = process.user.split(":")
        account = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
        if uid != "0":
            account += ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
        variables = [f"{name}={value}" for name, value in process.environment.items()]
        return ["chroot", str(self.path), *account, "env", "-i", f"--chdir={process.folder}", *variables, *words]

    def _mounts(self, process: Process) -> list[str]:
        lines = ["mount --make-rprivate /", self._mount("--bind", self.path, "")]
        lines += [self._mount("--bind", Path("/", name), name) for name in ("usr", *_folders(), *_place(PYTHON))]
        lines += [self._mount("--bind", PYTHON if _place(PYTHON) else self.path / "local", "usr/local")]
        lines += [self._read_only(name) for name in ("usr", *_folders(), *_place(PYTHON), "usr/local")]
        lines += [self._mount("--bind", Path("/dev", name), f"dev/{name}") for name in _DEVICES]
        if process.read_only:
            lines.append(self._read_only(""))
        lines += [self._mount("-t tmpfs -o mode=1777", Path("tmpfs"), name) for name in ("tmp", "dev/shm")]
        lines += [self._mount("-t proc", Path("proc"), "proc")]
        writable = process.writable or {}
        return [*lines, *(self._mount("--bind", there, place) for place, there in writable.items())]

    def _mount(self, options: str, what: Path, place: str) -> str:
        return f"mount {options} {shlex.quote(str(what))} {shlex.quote(str(self.path / place.lstrip('/')))}"

    def _read_only(self, place: str) -> str:
        return self._mount("-o remount,bind,ro", Path("none"), place)


def link_or_copy(origin: str, target: str) -> str:
    """The file at a second place, for what nobody writes into; its time stays, by which Python knows that a
    compiled file is of its source. A link takes no time; between file systems it is a copy."""
    try:
        os.link(origin, target)
    except OSError:
        shutil.copy2(origin, target)
    return target


def _like(original: Path, copy: Path) -> None:
    """The same symbolic link, or a folder to mount the original on."""
    if original.is_symlink():
        copy.symlink_to(original.readlink())
    elif original.exists():
        copy.mkdir()


def _folders() -> list[str]:
    return [name for name in _SYSTEM if Path("/", name).is_dir() and not Path("/", name).is_symlink()]


def _place(path: Path) -> list[str]:
    """Where Python must be seen besides /usr/local, since it looks for its library there: nowhere when it is the
    system's."""
    return [] if path.is_relative_to("/usr") else [str(path).lstrip("/")]
