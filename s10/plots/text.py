"""Names of classes and paths as text in figures: never a formula, never wider than its place."""

import functools
import re
import sys
import warnings

from matplotlib import rcParams
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from s10.runtime.errors import one_line


def as_title(text: str, inches: float, fontsize: float = 10) -> str:
    """A sentence with names from outside, such as of classes, in lines of this width."""
    lines = [""]
    for word in one_line(text).split():
        word = as_label(word, min(inches, 3), fontsize)
        longer = f"{lines[-1]} {word}".strip()
        fits = text_width(longer, fontsize) <= inches
        lines[-1:] = [longer] if fits or not lines[-1] else [lines[-1], word]
    return "\n".join(lines)


def as_label(text: object, inches: float, fontsize: float = 10) -> str:
    """The text in one line of this width; if it is longer, "…" stands for its middle.

    What no font can draw becomes "�", and nothing is read as a formula.
    """
    text = "".join(c if text_width(c) else "�" for c in one_line(text))
    short = text
    for half in range(len(text) // 2, 0, -1):
        if text_width(short, fontsize) <= inches:
            break
        short = f"{text[:half]}…{text[-half:]}"
    # A label with a leading underscore would be left out of a legend.
    return re.sub("^_", " _", short).replace("$", r"\$")


def text_width(text: str, fontsize: float = 10) -> float:
    """Its width in inches, to a few percent."""
    fonts = tuple(rcParams["font.family"])
    return fontsize * sum(_character_width(character, fonts) for character in text)


@functools.cache
def _character_width(character: str, fonts: tuple[str, ...]) -> float:
    """In inches, at a font size of 1; 0 if none of these fonts has the character."""
    font = FontProperties(family=fonts, size=1)
    with warnings.catch_warnings(record=True) as missing:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", "Glyph .* missing")
        # Many, and a dot: only what is drawn has a width, and of a space nothing is.
        text = 32 * character + "."
        width = text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]
    if missing:
        _report_missing_font(font.get_name())
    return 0.0 if missing else width / 32 / 72


@functools.cache
def _report_missing_font(font: str) -> None:
    """Say it once, not for each character and figure."""
    print(
        f"{font} lacks characters of these names and shows them as �; to add a font, such as Noto "
        f"Sans CJK SC: `font.family: {font}, Noto Sans CJK SC` in a file matplotlibrc here",
        file=sys.stderr,
    )
