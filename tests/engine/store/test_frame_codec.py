"""Frames as they are stored: the layout of a database that 0.1 wrote is read, and written again."""

import base64

from tests.engine.core.driver import (
    PASS,
    PLAIN,
    TASK,
    WAIT_FOR_TOKEN,
    WORK,
    Driver,
    Ends,
    Fails,
    Silent,
    Submits,
    Taken,
    compiled,
    distributed,
    each,
    machine,
    parallel,
    retry,
    wait,
)
from tests.engine.store.machines import flat

from stepwell.engine.core.model import Children, Frame, Phase, TaskAttempt
from stepwell.engine.store import codec, frame_codec
from stepwell.engine.store.base import ExecutionRow

ROLE = "arn:aws:iam::123456789012:role/other"
LIMITS = {"TimeoutSeconds": 90, "HeartbeatSeconds": 20, "Credentials": {"RoleArn": ROLE}}
ITEMS = {"ItemsPath": "$.items"}
MACHINE = machine(
    "P",
    P=parallel(
        machine("Callback", Callback={**WAIT_FOR_TOKEN, **LIMITS}),
        machine("Worker", Worker={**WORK, "TimeoutSeconds": 60}),
        machine("Two", Two=parallel(machine("One", One=PASS), machine("Sleep", Sleep=wait(30)))),
        machine("Each", Each=each(machine("Work", Work=PLAIN), MaxConcurrency=1, **ITEMS)),
        machine(
            "Run",
            Run=distributed(machine("Child", Child=PASS), ToleratedFailureCount=2, **ITEMS),
        ),
        machine("Again", Again={**TASK, "Retry": retry(IntervalSeconds=7)}),
    ),
)
# written by the code that kept the data of tasks and Maps in one row of attributes of the frame
STORED = base64.b64decode(
    "AnUhvQmXzwAAAZMnlpQACwwAwJzAgMQzeyJRdWV1ZVVybCI6InEiLCJNZXNzYWdlQm9keSI6eyJpdGVtcyI6WzEwLDIw"
    "LDMwXX19xAIxMMQCMjDEAjMwxAExxAIxMMQCMjDEAjMwxAEwxDN7IkZ1bmN0aW9uTmFtZSI6ImYiLCJQYXlsb2FkIjp7"
    "Iml0ZW1zIjpbMTAsMjAsMzBdfX2Z3AAcAQAAAKFQAwHAwAMCAM8AAAGLz+VoANQBAMDUAQGQwMDAAAYAw8DAwADcABwC"
    "AQABqENhbGxiYWNrAQHPAAABi8/mx5DPAAABi8/ltiAaBAPPAAABi8/laADUAQDUAQLUAQGQwMDAAAAAw1oU2SRhcm46"
    "YXdzOmlhbTo6MTIzNDU2Nzg5MDEyOnJvbGUvb3RoZXIB3AAcAwEBAqZXb3JrZXIBAc8AAAGLz+ZSYMAbBwPPAAABi8/l"
    "aADUAQDUAQDUAQGQwMDAAAAAwzzAwADcABwEAQIDo1R3bwMBwMAMCQPPAAABi8/laADUAQDA1AEBkMDAkZIA1AEAAAEA"
    "w8DAwAHcABwFAQMGpEVhY2gDAcDAHg4DzwAAAYvP5WgA1AEA1AEA1AEBkMCT1AED1AEE1AEFkZIA1AEGAgEAw8DAnwHA"
    "wKCgAAAAwACQkMQAwMAB3AAcBgEECKNSdW4DAcDAFhQDzwAAAYvP5WgA1AEA1AEA1AEBkMCT1AEH1AEI1AEJkZIA1AEK"
    "AwEBwsDAn80nEALAoUzZJDQyN2ZkNzc3LTVhNjgtMDI5OS1mYjYwLWNhYmNlMTRmZDlmORbPAAABi8/laAAAwACXAAEB"
    "AQAAAJcAAQEBAAAAxAEDwMAB3AAcBwEFCqVBZ2FpbgQCzwAAAYvP5YNYwCMXA88AAAGLz+VoANQBANQBC9QBAZEBwMDA"
    "AAAAwsDAwADcABwJBAEFpVNsZWVwAgDPAAABi8/l3TDADQ0KzwAAAYvP5WgA1AEAwNQBAZDAwMAAAADCwMDAANwAHAsF"
    "AQekV29yawEBwMAiIB/PAAABi8/laADUAQTUAQTUAQGQkwHUAQTAwMAAAADCwMDAAA=="
)


def run() -> Driver:
    """Until each branch of MACHINE waits."""
    return Driver(
        MACHINE,
        {"items": [10, 20, 30]},
        answers={
            "Callback": Submits("sent", Silent),
            "Worker": Taken("w", Silent),
            "Work": (1, Silent),
            "Again": Fails("E"),
        },
        child=lambda slot, value: [Ends("SUCCEEDED", slot), Ends("FAILED"), Silent][slot],
    ).run(until=2)


def stored(blob: bytes) -> codec.Continuation:
    x = run().x
    row = ExecutionRow(
        *(x.id, x.uuid, x.arn, x.name, x.machine_arn, x.machine_name, x.role_arn, x.express),
        *(x.definition, x.block, x.status, x.started, None, x.events, None, None, None, {}),
    )
    reader = codec.Reader(lambda: x.input.data, lambda number: b"")
    return codec.Continuation(row, reader, blob)


def read(blob: bytes) -> dict[str, Frame]:
    """By the name of the state."""
    execution = stored(blob).execution(compiled(MACHINE))
    return {frame.state.name: frame for frame in execution.frames.values()}


def test_every_attribute_of_a_frame_is_stored() -> None:
    common = {name.partition(".")[0] for name in frame_codec.FIELDS[: frame_codec.ITEMS]}
    assert common == set(Frame.__slots__) - {"attempt", "attempts", "children", "touched"}
    assert len(set(frame_codec.FIELDS)) == len(frame_codec.FIELDS) >= 28  # only appended to


def test_the_layout_of_frames_is_that_of_the_first_release() -> None:
    """That of Map Runs has more, and other slots in the bit set."""
    x, writer = run().x, codec.Writer()
    writer.begin(x.input, {}, 0)
    frames = [frame_codec.frame_values(frame) for frame in x.frames.values()]
    now = stored(writer.continuation(x, frames, 1 << 20)).frames
    for before, after in zip(stored(STORED).frames, now, strict=True):
        if before[4] == "Run":
            assert after[len(before) :] == ([[2, 1]], None, False)
        end = frame_codec.FIELDS.index("extra") if before[4] == "Run" else None
        assert flat(before[:end]) == flat(after[:end])


def test_stored_frames_are_read() -> None:
    frames = read(STORED)
    assert flat(list(frames.values())) == flat(list(run().x.frames.values()))
    assert frames["Callback"].attempt == TaskAttempt(90, 20, ROLE, True, True)
    assert frames["Worker"].attempt == TaskAttempt(60, None, None, True, False)
    assert frames["Work"].attempt == TaskAttempt()
    assert (frames["Again"].phase, frames["Again"].attempt) == (Phase.RETRY, None)
    two, inline, run_of = (frames[name].running_children for name in ("Two", "Each", "Run"))
    assert (two.live, [output.value for output in two.outputs()]) == (1, [{"items": [10, 20, 30]}])
    assert (inline.next_item, inline.map_run.concurrency) == (2, 1)
    assert (run_of.failures, run_of.open, run_of.map_run.tolerated_count) == (1, {2}, 2)


def test_a_frame_of_an_older_blob_is_shorter() -> None:
    frame = read(STORED)["Two"]
    short = frame_codec.frame_values(frame)[: frame_codec.ITEMS]
    back = frame_codec.read_frame(short, compiled(MACHINE), {}, {})
    assert flat(back.running_children) == flat(Children(0))
