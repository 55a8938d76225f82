"""`headrace sources`, `headrace tokens`, `headrace audit`."""

import os
from typing import Annotated

import typer

from headrace.cli.access import Sources, Tokens
from headrace.cli.access import audit as show_audit
from headrace.cli.deployment import Deployment
from headrace.cli.output import open_console

sources = typer.Typer(help="Where events come from, and the write keys of each.", no_args_is_help=True)
tokens = typer.Typer(help="Admin tokens with scopes and an end.", no_args_is_help=True)

SourceName = Annotated[str, typer.Argument(metavar="SOURCE")]


def _sources() -> Sources:
    return Sources(Deployment.of(os.environ), open_console())


def _tokens() -> Tokens:
    return Tokens(Deployment.of(os.environ), open_console())


@sources.command("list")
def list_sources() -> None:
    """Every source that was put here, with its keys."""
    _sources().show()


@sources.command("put")
def put_source(
    name: SourceName,
    kind: Annotated[str, typer.Option(help="public (in pages and apps) or server (may link identifiers).")],
    origin: Annotated[list[str] | None, typer.Option(help="A page that may use it; may be repeated.")] = None,
    origins_required: Annotated[bool, typer.Option(help="Refuse requests that name no page.")] = False,
    rate: Annotated[float | None, typer.Option(help="Events per second; else the default.")] = None,
) -> None:
    """Make a source, or change it."""
    _sources().put(name, kind=kind, origins=origin or [], origins_required=origins_required, rate=rate)


@sources.command("delete")
def delete_source(name: SourceName) -> None:
    """Revoke all keys of a source. What it has sent stays."""
    _sources().delete(name)


@sources.command("add-key")
def add_key(
    name: SourceName, expires_in: Annotated[str, typer.Option(help="As 365d, or never.")] = "never"
) -> None:
    """Make one more write key and show it, once. The others go on: that is how keys are rotated."""
    _sources().add_key(name, expires_in)


@sources.command("revoke-key")
def revoke_key(name: SourceName, key_id: Annotated[str, typer.Argument(metavar="KEY")]) -> None:
    """Take nothing by this key any more."""
    _sources().revoke_key(name, key_id)


@tokens.command("list")
def list_tokens() -> None:
    """Every token, also those that hold no more."""
    _tokens().show()


@tokens.command("add")
def add_token(
    name: Annotated[str, typer.Argument(help="Who or what it is for.", metavar="NAME")],
    scope: Annotated[
        list[str],
        typer.Option(help="read, segments, segments:read, campaigns, privacy or admin; may be repeated."),
    ],
    expires_in: Annotated[str, typer.Option(help="As 90d, or never.")] = "90d",
) -> None:
    """Make a token and show it, once."""
    _tokens().add(name, scope, expires_in)


@tokens.command("revoke")
def revoke_token(token_id: Annotated[str, typer.Argument(metavar="TOKEN")]) -> None:
    """No service lets it in any more, within a second."""
    _tokens().revoke(token_id)


def audit(
    actor: Annotated[str | None, typer.Option(help="A token's id or name.")] = None,
    route: Annotated[str | None, typer.Option(help="As /v1/segments/{segment_id}.")] = None,
    since: Annotated[str | None, typer.Option(help="As 2026-01-31T12:00:00Z.")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 50,
) -> None:
    """Who did what, the newest first: a row before each act, and one with its status when it has ended."""
    show_audit(Deployment.of(os.environ), open_console(), actor=actor, route=route, since=since, limit=limit)


def add_access_commands(app: typer.Typer) -> None:
    app.add_typer(sources, name="sources")
    app.add_typer(tokens, name="tokens")
    app.command("audit")(audit)
