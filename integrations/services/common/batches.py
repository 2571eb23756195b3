"""What fails a batch request as a whole, in SQS and SNS."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from stepwell.engine.errors import ApiError

_ID: Final = re.compile("[A-Za-z0-9_-]{1,80}")


class BatchErrors(NamedTuple):
    """(error code, text) of each refusal. Texts may have {limit}, {count} and {id}."""

    empty: tuple[str, str]
    too_many: tuple[str, str]
    invalid_id: tuple[str, str]
    repeated_id: tuple[str, str]


def check_batch(entries: Sequence[Mapping[str, Any]], most: int, errors: BatchErrors) -> None:
    """Raises ApiError."""

    def refusal(error: tuple[str, str], id: str = "") -> ApiError:
        code, text = error
        return ApiError(code, text.format(limit=most, count=len(entries), id=id))

    if not entries:
        raise refusal(errors.empty)
    if len(entries) > most:
        raise refusal(errors.too_many)
    seen = set[str]()
    for each in entries:
        if _ID.fullmatch(each["Id"]) is None:
            raise refusal(errors.invalid_id)
        if each["Id"] in seen:
            raise refusal(errors.repeated_id, each["Id"])
        seen.add(each["Id"])
