"""Pools of voucher codes (DESIGN §7)."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError, model_validator

from headrace.contracts.definition import DefinitionId, Duration, Model, Name, duration_ms, problems
from headrace.contracts.errors import InvalidDefinition

VoucherCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{3,64}$")]
ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Of generated codes: nothing that looks like something else."""


class Generate(Model):
    """Codes are made when they are needed: `prefix` and `length` random letters and digits."""

    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9-]{0,20}$")] = ""
    length: Annotated[int, Field(ge=6, le=30)] = 10
    at_most: Annotated[int, Field(ge=1, le=10_000_000)] | None = None


class VoucherPool(Model):
    """Codes to give to customers: single-use ones, uploaded or made by `generate`, or one `code` for everybody.
    A code is good for `expires_after` from when it was given."""

    kind: Literal["vouchers"] = "vouchers"
    id: DefinitionId
    name: Name
    generate: Generate | None = None
    code: VoucherCode | None = None
    expires_after: Duration | None = None
    value: Name | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "VoucherPool":
        if self.generate is not None and self.code is not None:
            raise ValueError("write `generate` (a code each) or `code` (one for all), or neither and upload codes")
        return self

    @property
    def expires_after_ms(self) -> int | None:
        return None if self.expires_after is None else duration_ms(self.expires_after)


def parse_voucher_pool(document: Any) -> VoucherPool:
    """The definition, or InvalidDefinition with a problem for everything that is wrong."""
    try:
        return VoucherPool.model_validate(document)
    except ValidationError as error:
        fields = {*VoucherPool.model_fields, *Generate.model_fields}
        raise InvalidDefinition(problems(error, fields)) from error
