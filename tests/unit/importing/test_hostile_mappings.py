"""Whatever a mapping and a table say, what comes out is messages, rejected rows, or a problem that is told."""

import io
import json
from contextlib import nullcontext
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import InvalidDefinition
from headrace.importing.builder import Builder
from headrace.importing.grouping import TooScattered
from headrace.importing.mapping import parse_mapping
from headrace.importing.outcome import Outgoing
from headrace.importing.table import CsvTable, UnreadableFile

names = st.sampled_from(["a", "b", "a.b", "email", "traits", "traits.email", "externalIds", ""])
columns = st.sampled_from(["A", "B", "C"])
templates = st.sampled_from(["{A}", "x:{B}", "{A}{C}", "{", "fixed", "{D}"])
formats = st.sampled_from(["iso", "epoch_s", "epoch_ms", "%d.%m.%Y", "%Y", "%H"])
cells = st.sampled_from(
    ["", "1", "x", "yes", "0", "-1e9", "2025-01-01", "01.01.2025", "9" * 18, "9999-12-31", "é"]
)
kinds = st.sampled_from(["text", "number", "integer", "boolean", "instant", "date", "currency"])
scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
words = st.dictionaries(st.sampled_from(["1", "x"]), scalars, min_size=1)
values = st.one_of(
    templates,
    st.fixed_dictionaries({"column": columns}, optional={"as": kinds, "format": formats, "default": cells}),
    st.fixed_dictionaries(
        {"column": columns, "map": st.dictionaries(st.sampled_from(["1", "x"]), scalars, min_size=1)}
    ),
    st.fixed_dictionaries({"value": scalars | st.lists(scalars, max_size=2)}),
    st.fixed_dictionaries({"sum": st.lists(columns, min_size=1, max_size=3)}),
    st.just({"count": "lines"}),
)
objects = st.dictionaries(names, values, max_size=3)
whens = st.fixed_dictionaries({"column": columns, "empty": st.booleans()}) | st.fixed_dictionaries(
    {"column": columns, "equals": cells}
)
dates = st.just({"column": "A"})
timestamps = dates | st.fixed_dictionaries(
    {"column": columns | st.lists(columns, min_size=1)}, optional={"format": formats}
)
patches = {
    "type": st.sampled_from(["track", "identify", "page"]),
    "event": templates,
    "message_id": templates,
    "user_id": templates,
    "email": templates,
    "external_ids": st.lists(st.fixed_dictionaries({"type": names, "id": templates}), max_size=2),
    "properties": objects,
    "traits": objects,
    "context": objects,
}
changes = st.fixed_dictionaries({}, optional={**patches, "timestamp": timestamps})
_MESSAGE = {"timestamp": dates, "anonymous_id": st.just("{A}")}
mappings = st.fixed_dictionaries(
    {"kind": st.just("import"), "message": st.fixed_dictionaries(_MESSAGE, optional=patches)},
    optional={
        "csv": st.fixed_dictionaries({}, optional={"delimiter": st.sampled_from([",", ";", '"', " "])}),
        "clean": st.dictionaries(columns, st.just({"strip_prefix": "x"}), max_size=1),
        "group_by": columns | st.lists(columns, max_size=2),
        "items": st.fixed_dictionaries({"fields": objects}, optional={"when": whens}),
        "variants": st.lists(st.fixed_dictionaries({"when": whens, "set": changes}), max_size=2),
        "consents": st.lists(st.fixed_dictionaries({"channel": templates, "column": columns}), max_size=1),
        "tags": st.lists(st.fixed_dictionaries({}, optional={"name": templates, "column": columns}), max_size=1),
    },
)
rows = st.lists(cells, min_size=2, max_size=2).map(lambda row: ",".join(["2025-01-01", *row]))
tables = st.lists(rows | st.lists(cells).map(",".join), max_size=5).map("\n".join)


@given(mappings, tables)
def test_nothing_breaks(document: dict[str, Any], text: str) -> None:
    content = f"A,B,C\n{text}\n".encode()
    try:
        mapping = parse_mapping(document)
        table = CsvTable(lambda: nullcontext(io.BytesIO(content)), mapping.csv, "t.csv")
        builder = Builder(mapping, table.header)
        outcomes = list(builder.outcomes(table.rows(), builder.survey(table.rows())))
    except (InvalidDefinition, UnreadableFile, TooScattered):
        return
    for one in outcomes:
        if isinstance(one, Outgoing):
            assert json.loads(one.body)["messageId"] == one.message_id
