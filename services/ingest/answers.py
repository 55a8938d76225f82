"""What the tracking routes answer."""

import msgspec

from headrace.contracts.errors import ApiError
from headrace.runtime.direct import Answer

JSON = (b"content-type", b"application/json")
SUCCESS = b'{"success":true}'
SUCCESS_HEADERS = (JSON, (b"x-content-type-options", b"nosniff"))
INTERNAL = ApiError(500, "internal", "The service failed on this request; the log has the reason.")


def error_answer(error: ApiError) -> Answer:
    body = msgspec.json.encode({"success": False, "code": error.code, "message": error.message})
    if error.retry_after is None:
        return Answer(error.status, body, (JSON,))
    return Answer(error.status, body, (JSON, (b"retry-after", b"%d" % error.retry_after)))
