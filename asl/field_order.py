"""The order in which a formatted definition has its fields, and where the objects of the language
are: everything else is data of the user, whose order is kept.
"""

from typing import Final, NamedTuple


class Shape(NamedTuple):
    """An object of the language.

    fields  in their order; "*": all others, in the order of the text
    inner   field -> (name of the Shape of its value, what is around it: "", "[]" or "{}")
    """

    fields: tuple[str, ...]
    inner: dict[str, tuple[str, str]]


_DATA: Final = "Assign Output"
SHAPES: Final[dict[str, Shape]] = {
    name: Shape(tuple(fields.split()), inner)
    for name, fields, inner in (
        (
            "machine",
            "Comment QueryLanguage Version TimeoutSeconds ProcessorConfig StartAt States *",
            {"States": ("state", "{}"), "ProcessorConfig": ("processor", "")},
        ),
        ("processor", "Comment Mode ExecutionType *", {}),
        (
            "state",
            "Comment Type QueryLanguage Resource Credentials InputPath ItemReader ItemsPath Items "
            "ItemSelector Parameters Arguments ItemBatcher "
            "MaxConcurrency MaxConcurrencyPath ToleratedFailureCount ToleratedFailureCountPath "
            "ToleratedFailurePercentage ToleratedFailurePercentagePath Label "
            "Seconds SecondsPath Timestamp TimestampPath Error ErrorPath Cause CausePath "
            "TimeoutSeconds TimeoutSecondsPath HeartbeatSeconds HeartbeatSecondsPath "
            "Choices Default Branches ItemProcessor Iterator ResultWriter * "
            f"Result ResultSelector ResultPath {_DATA} OutputPath Retry Catch Next End",
            {
                "Choices": ("rule", "[]"),
                "Retry": ("retrier", "[]"),
                "Catch": ("catcher", "[]"),
                "Branches": ("machine", "[]"),
                "ItemProcessor": ("machine", ""),
                "Iterator": ("machine", ""),
                "ItemReader": ("reader", ""),
                "ItemBatcher": ("batcher", ""),
                "ResultWriter": ("writer", ""),
            },
        ),
        (
            "rule",
            f"Comment Variable * And Or Not Condition {_DATA} Next",
            {"And": ("rule", "[]"), "Or": ("rule", "[]"), "Not": ("rule", "")},
        ),
        (
            "retrier",
            "Comment ErrorEquals IntervalSeconds MaxAttempts BackoffRate MaxDelaySeconds "
            "JitterStrategy *",
            {},
        ),
        ("catcher", f"Comment ErrorEquals * ResultPath {_DATA} Next", {}),
        (
            "reader",
            "Comment Resource ReaderConfig Parameters Arguments *",
            {"ReaderConfig": ("reader config", "")},
        ),
        (
            "reader config",
            "Comment InputType Transformation ManifestType CSVDelimiter CSVHeaderLocation "
            "CSVHeaders ItemsPointer MaxItems MaxItemsPath *",
            {},
        ),
        (
            "batcher",
            "Comment MaxItemsPerBatch MaxItemsPerBatchPath MaxInputBytesPerBatch "
            "MaxInputBytesPerBatchPath BatchInput *",
            {},
        ),
        (
            "writer",
            "Comment Resource WriterConfig Parameters Arguments *",
            {"WriterConfig": ("writer config", "")},
        ),
        ("writer config", "Comment Transformation OutputType *", {}),
    )
}
RANKS: Final = {
    name: {field: rank for rank, field in enumerate(shape.fields)} for name, shape in SHAPES.items()
}
