"""`headrace versions` and `headrace restore`: what a segment has been, and back to it."""

from rich.console import Console
from rich.table import Table

from headrace.cli.client import Service
from headrace.cli.definitions import say
from headrace.cli.deployment import Deployment


def versions(segment: str, deployment: Deployment, console: Console) -> None:
    """Every version, the newest first."""
    table = Table("version", "state", "created", "name", box=None, pad_edge=False)
    for item in Service(deployment, "segmenter").items(f"/v1/segments/{segment}/versions"):
        table.add_row(str(item["number"]), item["state"], item["created_at"], item["name"])
    console.print(table)


def restore(segment: str, number: int, deployment: Deployment, console: Console) -> None:
    """Put what that version said, as a new version."""
    answer = Service(deployment, "segmenter").post(f"/v1/segments/{segment}/versions/{number}/restore")
    say(console, f"segment {segment} version {answer['version']} is what version {number} was: {answer['status']}")
