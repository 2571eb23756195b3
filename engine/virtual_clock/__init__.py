"""Virtual time: see clock.py."""

from stepwell.engine.virtual_clock.clock import VirtualClock

__all__ = ["VirtualClock"]
