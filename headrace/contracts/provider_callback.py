"""Value of `cdp.provider-callbacks.v1`: what a messaging provider called us with, verified, as received."""

import msgspec


class ProviderCallback(msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True):
    """`id` is a content id of provider, query and body: a repeated call has the same. `query` and `body` are the
    call's own, the body as text (what is no UTF-8 has U+FFFD in it). `received_at` in milliseconds.

    The record's key is our message id where the call names it, else the sender's address, else `id`.
    """

    id: str
    provider: str
    received_at: int
    content_type: str
    body: str
    query: str = ""
