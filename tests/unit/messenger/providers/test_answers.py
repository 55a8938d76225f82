"""Whatever a provider answers, it means something: nothing of it raises, and a success is never made up."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.messenger.providers import bulkgate, twilio, whatsapp
from services.messenger.providers.http import Judge
from services.messenger.providers.port import Accepted, NotSent, Refused, Unsure

JUDGES = {"twilio": twilio._judge, "bulkgate": bulkgate._judge, "whatsapp": whatsapp._judge}
leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["accepted", "error"])
names = st.sampled_from(
    ["data", "response", "status", "message_id", "messages", "id", "error", "code", "type", "sid", "total"]
)
documents = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
line = st.dictionaries(names, documents, max_size=3)
# as providers answer, down to where each looks
shaped = st.one_of(
    st.dictionaries(names, documents, max_size=4),
    st.fixed_dictionaries(
        {"data": st.fixed_dictionaries({"response": st.lists(line, max_size=2) | leaves}) | line}
    ),
    st.fixed_dictionaries({"messages": st.lists(line, max_size=2) | leaves}),
    st.fixed_dictionaries({"error": line}),
)


@pytest.mark.parametrize("judge", JUDGES.values(), ids=JUDGES.keys())
@given(st.integers(200, 499), shaped)
@example(200, {"data": {"response": [{"status": ["accepted"]}]}})
@example(200, {"messages": [{"id": ["wamid"]}]})
@example(400, {"error": {"code": [4]}})
def test_any_answer_is_judged(judge: Judge, status: int, answer: dict[str, Any]) -> None:
    result = judge(status, answer)
    assert isinstance(result, Accepted | Refused | NotSent | Unsure)
    if not isinstance(result, Accepted):
        assert len(result.reason) <= 64
        assert result.reason.isascii()
    if status >= 300:
        assert not isinstance(result, Accepted)
    else:
        assert not isinstance(result, NotSent), "a 2xx may have taken the message on"
