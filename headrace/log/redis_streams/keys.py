"""Names of keys. A partition's number is the hash tag, so that one script finds all its keys in one slot.

The channel that announces an append has the name of the records' key, that of a hand-over the lease's.
"""

TOPICS = "log:topics"
HOUSEKEEPING = "log:lease:housekeeping"


def records(topic: str, partition: int) -> str:
    """The stream. Entry ID = (offset + 1)-0, fields `t` (log time) and `r` (the encoded record)."""
    return f"log:{{{partition}}}:{topic}:records"


def meta(topic: str, partition: int) -> str:
    """A hash: `begin` and `end` of the partition. It exists if and only if the partition does."""
    return f"log:{{{partition}}}:{topic}:meta"


def erasing(topic: str, partition: int) -> str:
    """The stream that takes the place of the records', while it is written."""
    return f"log:{{{partition}}}:{topic}:erasing"


def committed(topic: str, partition: int) -> str:
    """A hash: consumer group → next offset."""
    return f"log:{{{partition}}}:{topic}:committed"


def lease(group: str, topic: str) -> str:
    """Who is the active member of `group`. The group's main input tells deployments with different topic
    prefixes on one server apart."""
    return f"log:lease:{group}:{topic}"
