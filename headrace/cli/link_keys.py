"""`headrace link-keys`: the keys that sign the links in messages are listed, replaced and withdrawn."""

import os

import typer

from headrace.cli.client import Service
from headrace.cli.definitions import say
from headrace.cli.deployment import Deployment
from headrace.cli.output import open_console

link_keys = typer.Typer(help="The keys that sign links in messages.", no_args_is_help=True)
_PATH = "/v1/signing-keys"


@link_keys.command("list")
def listed() -> None:
    """Show the keys: when each was made, which one signs, which are withdrawn."""
    console = open_console()
    for key in _messenger().get(_PATH)["items"]:
        state = f"withdrawn {key['retired_at']}" if key["retired_at"] else "signs" if key["signs"] else "verifies"
        say(console, f"{key['id']}  made {key['created_at']}  {state}")


@link_keys.command()
def rotate() -> None:
    """Make a new key. It signs after two minutes; links that are out stay good."""
    key = _messenger().post(_PATH, {})
    say(open_console(), f"key {key['id']} signs from {key['signs_from']}")


@link_keys.command()
def withdraw(key: int) -> None:
    """Refuse every link that a key has signed, also those to unsubscribe: for a key that has leaked."""
    done = _messenger().delete(f"{_PATH}/{key}")
    say(open_console(), f"key {done['id']} is withdrawn since {done['retired_at']}")


def _messenger() -> Service:
    return Service(Deployment.of(os.environ), "messenger")
