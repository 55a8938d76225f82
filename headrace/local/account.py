"""The unprivileged account Postgres runs as when we are root, since Postgres refuses to run as root."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from headrace.local.errors import LocalError
from headrace.local.program import Account

ACCOUNT = "headrace"


def unprivileged_account() -> Account | None:
    """None when we are an ordinary user (run as ourselves); as root the account `headrace`, made if need be."""
    if os.geteuid() != 0:
        return None
    return _lookup() or _create()


def reaches(account: Account, path: Path) -> bool:
    """Whether the account can enter the folder `path` or execute the file `path`. Asked of the kernel itself,
    which knows about access lists and mounts."""
    script = 'if [ -d "$0" ]; then cd "$0"; else [ -x "$0" ] && [ -r "$0" ]; fi'
    done = subprocess.run(  # noqa: S603 (a constant script)
        ["/bin/sh", "-c", script, str(path)],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def _lookup() -> Account | None:
    try:
        entry = pwd.getpwnam(ACCOUNT)
    except KeyError:
        return None
    if entry.pw_uid == 0:
        raise LocalError(f"the account `{ACCOUNT}` is root; Postgres needs an ordinary one of that name")
    return Account(entry.pw_uid, entry.pw_gid)


def _create() -> Account:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        raise LocalError(
            f"Postgres does not run as root, and there is no useradd to make the account `{ACCOUNT}` for it: "
            "install the package passwd, run as an ordinary user, or set HEADRACE_DATABASE_URL"
        )
    options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    command = [useradd, *options, "--shell", "/usr/sbin/nologin", ACCOUNT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    account = _lookup()  # another `up` may have made it at the same moment
    if account is None:
        raise LocalError(
            f"useradd could not make the account `{ACCOUNT}` that Postgres runs as: {done.stderr.strip()}; "
            "make it by hand, run as an ordinary user, or set HEADRACE_DATABASE_URL"
        )
    return account
