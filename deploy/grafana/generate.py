"""Writes the dashboards of Grafana from what stands in the modules beside this one, a line or two for each panel.

python deploy/grafana/generate.py            rewrite them
python deploy/grafana/generate.py --check    exit code 1 when one is stale
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from campaigns_board import CAMPAIGNS
from panels import Dashboard, Panel
from platform_board import PLATFORM
from segments_board import SEGMENTS

FOLDER = Path(__file__).resolve().parent / "dashboards"
SCHEMA_VERSION = 39
WIDTH, HEIGHT = 24, 8
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
DASHBOARDS = {"platform": PLATFORM, "segments": SEGMENTS, "campaigns": CAMPAIGNS}


def document(dashboard: Dashboard) -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row in dashboard.rows:
        panels.append(
            {"type": "row", "title": row.title, "collapsed": False, "panels": [], "gridPos": _at(0, y, WIDTH, 1)}
        )
        y += 1
        width = WIDTH // row.across
        for number, panel in enumerate(row.panels):
            line, column = divmod(number, row.across)
            height = HEIGHT // 2 if panel.kind == "stat" else HEIGHT
            panels.append(_panel(panel, _at(column * width, y + line * height, width, height)))
        y = max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in panels)
    for number, one in enumerate(panels, 1):
        one["id"] = number
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["headrace"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [_datasource(), *(_variable(*one) for one in dashboard.variables.items())]},
        "annotations": {"list": []},
        "links": [{"type": "dashboards", "tags": ["headrace"], "title": "Headrace", "asDropdown": True}],
        "panels": panels,
    }


def _at(x: int, y: int, w: int, h: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": w, "h": h}


def _panel(panel: Panel, where: dict[str, int]) -> dict[str, Any]:
    least = {} if panel.signed else {"min": 0}
    stacking = {"mode": "normal"} if panel.stack else {"mode": "none"}
    custom = {"custom": {"fillOpacity": 10, "stacking": stacking}} if panel.kind == "timeseries" else {}
    return {
        "type": panel.kind,
        "title": panel.title,
        "datasource": DATASOURCE,
        "gridPos": where,
        "fieldConfig": {"defaults": {"unit": panel.unit, **least, **custom}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
        if panel.kind == "timeseries"
        else {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "none"},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": DATASOURCE, "expr": query, "legendFormat": name}
            for number, (query, name) in enumerate(panel.queries)
        ],
    }


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0}


def _variable(name: str, source: tuple[str, str]) -> dict[str, Any]:
    metric, label = source
    query = f"label_values({metric}, {label})"
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "sort": 1,
    }


def texts() -> dict[Path, str]:
    """Each dashboard's file and what stands in it."""
    return {
        FOLDER / f"{name}.json": json.dumps(document(dashboard), indent=2) + "\n"
        for name, dashboard in DASHBOARDS.items()
    }


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    stale = [path for path, text in texts().items() if not path.exists() or path.read_text("utf-8") != text]
    if "--check" in arguments:
        for path in stale:
            sys.stderr.write(f"{path.name} is stale: run make generate\n")
        return 1 if stale else 0
    for path, text in texts().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
