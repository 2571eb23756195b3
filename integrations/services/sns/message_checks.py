"""The checks of a message before it is published, in the order and the words of AWS. Pure."""

from __future__ import annotations

import base64
import json
import re
import string
from collections.abc import Mapping, Sequence
from typing import Any, Final

from stepwell.asl.json_text import JsonError, loads
from stepwell.engine.errors import ApiError
from stepwell.integrations.limits import Limits
from stepwell.integrations.services.common import batches
from stepwell.integrations.services.common.batches import BatchErrors
from stepwell.integrations.services.sns import messages
from stepwell.integrations.services.sns.store import invalid

Parameters = Mapping[str, Any]
"""The parameters of Publish, or of an entry of PublishBatch, named as in Python."""

_ATTRIBUTE_LETTERS: Final = frozenset(string.ascii_letters + string.digits + "_-.")
_NAME_CHARS: Final = 256
_FIFO_ID: Final = re.compile(r"[!-~]{1,128}\Z")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NUMBER: Final = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*\Z", re.ASCII)
_FIELDS: Final = {"String": "StringValue", "Number": "StringValue", "Binary": "BinaryValue"}


def message(parameters: Parameters, limits: Limits, most: int = 0) -> dict[str, Any]:
    """Body, subject, structure and attributes of a message of at most `most` bytes. Raises
    ApiError.
    """
    body = parameters.get("message") or ""
    if not body:
        raise invalid(messages.SNS_EMPTY)
    attributes = _attributes(parameters.get("message_attributes") or {})
    if size(parameters) > (most or limits.topic_message_bytes):
        raise invalid(messages.SNS_TOO_LONG)
    checked: dict[str, Any] = {"body": body, "attributes": attributes}
    subject = parameters.get("subject")
    if subject is not None:
        if not _is_subject(subject, limits):
            raise invalid(messages.SNS_SUBJECT)
        checked["subject"] = subject
    structure = parameters.get("message_structure")
    if structure:
        _check_structure(structure, body)
        checked["structure"] = True
    return checked


def _is_subject(text: str, limits: Limits) -> bool:
    return 0 < len(text) <= limits.subject_chars and not _CONTROL.search(text)


def _check_structure(structure: str, body: str) -> None:
    if structure != "json":
        raise invalid(messages.SNS_STRUCTURE)
    try:
        texts: Any = loads(body)
    except JsonError:
        texts = None
    # the second condition: a key is repeated
    if not isinstance(texts, dict) or len(json.loads(body, object_pairs_hook=list)) > len(texts):
        raise invalid(messages.SNS_STRUCTURE_JSON)
    if not isinstance(texts.get("default"), str):
        raise invalid(messages.SNS_STRUCTURE_DEFAULT)


def _attributes(attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    return {name: _attribute(name, each) for name, each in attributes.items()}


def _attribute(name: str, attribute: Mapping[str, Any]) -> dict[str, str]:
    """{"Type", "Value"}; a binary value as base64. Raises ApiError."""
    for character in name:
        if character not in _ATTRIBUTE_LETTERS:
            raise _bad_attribute(messages.SNS_ATTRIBUTE_LETTER.format(code=ord(character)))
    if not name or len(name) > _NAME_CHARS or name[0] == "." or name[-1] == "." or ".." in name:
        raise _bad_attribute(messages.SNS_ATTRIBUTE_DOTS)
    type = attribute.get("DataType") or ""
    if not type:
        raise _bad_attribute(messages.SNS_ATTRIBUTE_NO_TYPE.format(name=name))
    field = _FIELDS.get(type.partition(".")[0])
    if field is None:
        raise _bad_attribute(messages.SNS_ATTRIBUTE_TYPE.format(name=name))
    other = next(
        (
            each
            for each in _FIELDS.values()
            if each != field and each in attribute and field not in attribute
        ),
        None,
    )
    if other is not None:
        raise _bad_attribute(
            messages.SNS_ATTRIBUTE_FIELD.format(
                name=name, type=type, field=field.removesuffix("Value")
            )
        )
    value = attribute.get(field)
    if not value:
        raise _bad_attribute(messages.SNS_ATTRIBUTE_EMPTY.format(name=name, type=type))
    if isinstance(value, bytes):
        return {"Type": type, "Value": base64.b64encode(value).decode()}
    if type.startswith("Number") and not _NUMBER.match(value):
        raise _bad_attribute(messages.SNS_ATTRIBUTE_NUMBER.format(name=name))
    if type == "String.Array" and not _is_array(value):
        raise _bad_attribute(messages.SNS_ATTRIBUTE_ARRAY.format(name=name))
    return {"Type": type, "Value": value}


def _bad_attribute(text: str) -> ApiError:
    return ApiError("InvalidParameterValueException", text)


def _is_array(text: str) -> bool:
    try:
        return isinstance(loads(text), list)
    except JsonError:
        return False


def size(parameters: Parameters) -> int:
    """Bytes of a message, as SNS counts them: the body, and names, types and values of its
    attributes.
    """
    total = len((parameters.get("message") or "").encode())
    for name, each in (parameters.get("message_attributes") or {}).items():
        texts = (name, each.get("DataType") or "", each.get("StringValue") or "")
        total += sum(len(text.encode()) for text in texts) + len(each.get("BinaryValue") or b"")
    return total


def check_fifo_ids(parameters: Parameters, fifo: bool, by_content: bool) -> None:
    """The group and deduplication id, which depend on the topic. Raises ApiError."""
    group, deduplication = (
        parameters.get("message_group_id"),
        parameters.get("message_deduplication_id"),
    )
    if fifo and not group:
        raise invalid(messages.SNS_GROUP)
    if fifo and not deduplication and not by_content:
        raise invalid(messages.SNS_DEDUPLICATION)
    if not fifo and deduplication:
        raise invalid(messages.SNS_NO_DEDUPLICATION)
    for name, value in (("MessageGroupId", group), ("MessageDeduplicationId", deduplication)):
        if value and not _FIFO_ID.match(value):
            raise invalid(messages.SNS_FIFO_ID.format(name=name))


_BATCH_ERRORS: Final = BatchErrors(
    ("EmptyBatchRequestException", messages.SNS_BATCH_EMPTY),
    ("TooManyEntriesInBatchRequestException", messages.SNS_BATCH_MANY),
    ("InvalidBatchEntryIdException", messages.SNS_BATCH_ID),
    ("BatchEntryIdsNotDistinctException", messages.SNS_BATCH_IDS),
)


def check_batch(entries: Sequence[Mapping[str, Any]], limits: Limits) -> None:
    """What fails a batch as a whole. Raises ApiError."""
    batches.check_batch(entries, limits.topic_batch, _BATCH_ERRORS)
