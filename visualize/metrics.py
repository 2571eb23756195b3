"""The width of a text in Arial, for which the boxes are laid out. Pure.

SVG sets this length on each text: where Arial and its equivalents (Liberation Sans, Helvetica) are
missing, a wider font is condensed and does not overflow its box.
"""

from typing import Final

# thousandths of the font size, from the space to the tilde: Arial and Arial Bold
_REGULAR: Final = (
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556,
    556, 556, 556, 556, 556, 556, 556, 278,
    278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833,
    722, 778, 667, 778, 722, 667, 611, 722,
    667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556, 556, 278, 556, 556,
    222, 222, 500, 222, 833, 556, 556, 556,
    556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
)  # fmt: skip
_BOLD: Final = (
    278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556,
    556, 556, 556, 556, 556, 556, 556, 333,
    333, 584, 584, 584, 611, 975, 722, 722, 722, 722, 667, 611, 778, 722, 278, 556, 722, 611, 833,
    722, 778, 667, 778, 722, 667, 611, 722,
    667, 944, 667, 667, 611, 333, 278, 333, 584, 556, 333, 556, 611, 556, 611, 556, 333, 611, 611,
    278, 278, 556, 278, 889, 611, 611, 611,
    611, 389, 556, 333, 611, 556, 778, 556, 556, 500, 389, 280, 389, 584,
)  # fmt: skip
_OTHERS: Final = {
    "·": 278,
    "…": 1000,
    "×": 584,
    "→": 1000,
    "≤": 549,
    "≥": 549,
    "–": 556,
    "—": 1000,
}  # signs that labels and badges contain


def width(text: str, size: float, bold: bool = False) -> float | None:
    """The width, in the unit of `size`; None for a text with characters that the tables lack."""
    table, whole = _BOLD if bold else _REGULAR, 0
    for letter in text:
        place = ord(letter) - 32
        found = table[place] if 0 <= place < len(table) else _OTHERS.get(letter)
        if found is None:
            return None
        whole += found
    return whole * size / 1000
