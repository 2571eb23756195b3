"""Recorded executions, run again with another definition and with the recorded results. Pure: no
effect starts, nothing is stored.

    recording.py   a history -> visits, attempts and their results, by place in the machine
    driver.py      decide() with the recorded results, in the recorded order
    comparison.py  what differs between the recording and the run
    replay.py      both definitions compared: replay(old, new, recording)
"""

from stepwell.engine.replay.recording import Recording, read_recording
from stepwell.engine.replay.replay import Replayer
from stepwell.engine.replay.shapes import Divergence, Replayed

__all__ = ["Divergence", "Recording", "Replayed", "Replayer", "read_recording"]
