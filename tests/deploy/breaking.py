"""Broken copies of the rendered objects: what shows that a check can fail."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.deploy.manifests import Object, Objects, get

GONE: Final = object()
"""Instead of a value: take the field out. With an empty path: take out the object."""


@dataclass(frozen=True)
class Break:
    """One field of one object, set to something wrong. `path` leads to it by names and list places."""

    kind: str
    name: str
    path: tuple[str | int, ...]
    value: Any

    def __str__(self) -> str:
        what = "gone" if self.value is GONE else repr(self.value)
        return f"{self.kind}/{self.name}:{'.'.join(map(str, self.path))}={what[:40]}"

    def apply(self, objects: Objects) -> None:
        """Change the objects in place."""
        one = get(objects, self.kind, self.name)
        if not self.path:
            objects.remove(one)
            return
        parent = _parent(one, self.path)
        last: Any = self.path[-1]
        if self.value is GONE:
            del parent[last]
        elif last == -1:
            parent.append(self.value)
        else:
            parent[last] = self.value


def _parent(one: Object, path: tuple[str | int, ...]) -> Any:
    found: Any = one
    for step in path[:-1]:
        found = found.setdefault(step, {}) if isinstance(step, str) else found[step]
    return found


POD: Final = ("spec", "template", "spec")
CONTAINER: Final = (*POD, "containers", 0)

Check = Callable[[Objects], Any]
