"""Why a customer satisfies a condition or not, as plain JSON: a tree of the same shape as the condition."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

from headrace.contracts.instant import format_instant
from headrace.contracts.segment_conditions import All, AnyOf, Condition, Held, InSegment, Not
from services.segmenter.batch.evaluation import Evaluation
from services.segmenter.batch.values import number
from services.segmenter.batch.view import Verdict, View

Tree = dict[str, Any]


def explain(evaluation: Evaluation, node: Condition, view: View) -> Tree:
    """`result` at every node. Groups have their conditions under `all`, `any` and `not`. The others have
    `condition`, as it was written, `value`, what was found, and `events`, the messageIds (the last ten) of the
    events that decided. `held` has `inside`: what it asks about, when that was false last, or now."""
    verdict = evaluation.judge(node, view)
    tree: Tree = {"result": verdict.result}
    match node:
        case All():
            return tree | {"all": [explain(evaluation, child, view) for child in node.all]}
        case AnyOf():
            return tree | {"any": [explain(evaluation, child, view) for child in node.any]}
        case Not():
            return tree | {"not": explain(evaluation, node.not_, view)}
    tree["condition"] = node.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    tree |= {"value": readable(verdict.value), "events": list(verdict.events)}
    if isinstance(node, Held | InSegment) and verdict.value is not None:
        tree["value"] = {"false_at": format_instant(verdict.value)}
    if isinstance(node, Held):
        inside = node.held.condition
        tree["inside"] = explain(evaluation, inside, _when_false(evaluation, inside, verdict, view))
    return tree


def readable(value: Any) -> Any:
    """JSON with numbers for people to read: they may be rounded, and are text where no float takes them."""
    if isinstance(value, dict):
        return {key: readable(inside) for key, inside in value.items()}
    if isinstance(value, list | tuple):
        return [readable(inside) for inside in value]
    if not isinstance(value, Fraction | Decimal):
        return value
    exact = number(value) if isinstance(value, Decimal) else value
    if exact is None or exact == int(exact):
        return None if exact is None else int(exact)
    try:
        return float(exact)
    except OverflowError:
        return str(exact)


def _when_false(evaluation: Evaluation, inside: Condition, verdict: Verdict, view: View) -> View:
    if verdict.result or not evaluation.holds(inside, view):
        return view
    return view.looking_back(verdict.value)
