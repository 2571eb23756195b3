"""The strategies use what there is to use; what they leave to the vectors is listed here."""

from random import Random

from stepwell.conformance import features, strategies
from stepwell.conformance.features import features_of

SAMPLE = 250  # machines of each area
# A Distributed Map needs a Map Run for each example, and some fields an S3; comments do nothing; these errors need a clock or a service.
NOT_GENERATED = frozenset(
    name
    for name in features.TABLE
    if name.split(".")[0] in ("ItemReader", "ReaderConfig", "ItemBatcher", "ResultWriter", "WriterConfig", "Credentials")
    or name.endswith(".Comment")
    or name in ("Map.ItemReader", "Map.ItemBatcher", "Map.ResultWriter", "Map.Label", "Map.Parameters", "ProcessorConfig.ExecutionType")
    or name.startswith(("Map.ToleratedFailure", "event:", "api:"))
    or name in ("Machine.Version", "Task.Credentials", "Task.InputPath", "Task.TimeoutSecondsPath", "Task.HeartbeatSecondsPath")
    or name in ("$random()", "$uuid()")
    or name in (f"error:States.{error}" for error in ("DataLimitExceeded", "ExceedToleratedFailureThreshold", "HeartbeatTimeout"))
    or name
    in (f"error:States.{error}" for error in ("ItemReaderFailed", "ResultWriterFailed", "ResultPathMatchFailure", "Runtime", "Timeout"))
)


def test_generated_machines_use_the_rest() -> None:
    used = set[str]()
    for area in strategies.AREAS:
        for number in range(SAMPLE):
            used |= features_of(strategies.case_of(Random(f"{area} {number}"), area).definition)
    assert sorted(features.TABLE - used - NOT_GENERATED - set(features.UNSEEN)) == []
