"""`headrace vouchers`: the codes of a pool go up from a file, and down into one."""

from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from rich.console import Console

from headrace.cli.client import Service
from headrace.cli.definitions import say
from headrace.cli.deployment import Deployment
from headrace.cli.export import write
from headrace.contracts.errors import HeadraceError


class NoCodes(HeadraceError):
    """The file with codes cannot be read."""


def upload(pool: str, file: Path, deployment: Deployment, console: Console) -> int:
    """1 when a line has no code; the others are stored."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise NoCodes(f"cannot read {file}: {error.strerror}") from error
    done = Service(deployment, "messenger").upload(_codes(pool), content, content_type="text/csv")
    say(console, f"{done['added']} added, {done['known']} known already, {done['invalid']} lines without a code")
    for problem in done["problems"]:
        say(console, f"  {file}:{problem['line']} {problem['reason']}")
    if done["invalid"] > len(done["problems"]):
        say(console, f"  and {done['invalid'] - len(done['problems'])} more")
    return 1 if done["invalid"] else 0


def export(
    pool: str, deployment: Deployment, stdout: BinaryIO, *, status: str | None, output: Path | None
) -> None:
    """Write the codes as CSV. A file appears only when it is whole. Raises NotExported, or what the messenger
    refused."""
    only = {} if status is None else {"status": status}
    write(Service(deployment, "messenger").download(_codes(pool), format="csv", **only), stdout, output)


def _codes(pool: str) -> str:
    return f"/v1/vouchers/{quote(pool, safe='')}/codes"
