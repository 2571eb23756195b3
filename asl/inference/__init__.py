"""What is known about the data of a machine before any execution: `infer(Machine(definition))`.

shapes.py    Shape, an abstract value          field_shapes.py, choice_shapes.py, contexts.py
machine.py   states, blocks and transitions    flow.py  the states in the order of the data flow
"""

from stepwell.asl.inference.flow import Facts, infer
from stepwell.asl.inference.machine import Machine
from stepwell.asl.inference.shapes import Shape

__all__ = ["Facts", "Machine", "Shape", "infer"]
