"""Tests of where a customer is, and of a random share of all customers (DESIGN §6)."""

from decimal import Decimal
from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from headrace.contracts.segment_hints import Refused, number_hint
from headrace.contracts.segment_values import Model, Percentage, storable

MAX_KM = 20_100  # half the way round, and a little


class PercentTest(Model):
    """Ten thousand buckets: from <= bucket / 100 < to."""

    from_: Percentage = Field(alias="from")
    to: Percentage
    salt: Annotated[str, StringConstraints(max_length=100), AfterValidator(storable)] = ""

    @model_validator(mode="after")
    def _ascending(self) -> "PercentTest":
        if self.from_ >= self.to:
            raise Refused("from must be less than to", f"write from: {self.to}, to: {self.from_}")
        return self


def _real(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not -1e9 < value < 1e9:
        return None
    return float(value)


def _kilometres(value: object) -> float:
    number = _real(value)
    if number is None or not 0 < number <= MAX_KM:
        hint = number_hint(value, "write a number such as 25")
        raise Refused(f"must be a number of kilometres above 0 and at most {MAX_KM}", hint)
    return number


def _place(value: object) -> tuple[float, float]:
    numbers = [_real(part) for part in value] if isinstance(value, list | tuple) and len(value) == 2 else [None]
    first, last = numbers[0], numbers[-1]
    if len(numbers) != 2 or first is None or last is None:
        raise Refused("must be a latitude and a longitude", "write for instance [49.19, 16.61]")
    if abs(first) > 90 or abs(last) > 180:
        turned = abs(first) <= 180 and abs(last) <= 90
        hint = "write degrees, such as [49.19, 16.61]"
        if turned:
            hint = f"the latitude comes first: write [{last:g}, {first:g}]"
        raise Refused("has a latitude beyond 90 or a longitude beyond 180 degrees", hint)
    return first, last


Kilometres = Annotated[
    float,
    PlainValidator(_kilometres),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": MAX_KM}),
]
Place = Annotated[
    tuple[float, float],
    BeforeValidator(_place),
    Field(strict=False),
    WithJsonSchema(
        {
            "type": "array",
            "prefixItems": [
                {"type": "number", "minimum": -90, "maximum": 90},
                {"type": "number", "minimum": -180, "maximum": 180},
            ],
            "minItems": 2,
            "maxItems": 2,
        }
    ),
]


class GeoTest(Model):
    """`of` is (latitude, longitude) in degrees."""

    within_km: Kilometres
    of: Place
