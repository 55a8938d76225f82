"""Where an interrupted import goes on: one small file per (file, mapping, address) in the data folder."""

import hashlib
import json
from pathlib import Path


class Checkpoint:
    """How far the import of a file got. It is only a saving of time: an import may be repeated anyway."""

    def __init__(self, data_dir: Path, *, file_digest: str, mapping_digest: str, address: str) -> None:
        key = hashlib.sha256("\n".join((file_digest, mapping_digest, address)).encode()).hexdigest()[:32]
        self._path = data_dir / "imports" / f"{key}.json"

    def load(self) -> int:
        """The place to go on from; 0 when there is none or it cannot be read."""
        try:
            position = json.loads(self._path.read_bytes())["position"]
        except (OSError, ValueError, KeyError, TypeError):
            return 0
        return position if isinstance(position, int) and position > 0 else 0

    def save(self, position: int) -> None:
        """Replace the file in one step."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        written = self._path.with_suffix(".new")
        written.write_text(json.dumps({"position": position}), encoding="utf-8")
        written.replace(self._path)

    def clear(self) -> None:
        """The import is complete."""
        self._path.unlink(missing_ok=True)
