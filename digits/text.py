"""Text for a terminal, much of it by others: names, values, messages. Plumbing."""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable

# From the scheme to the last @ before the path: user:password@.
CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")
MAX_COLUMNS = 100


def printable(text: str) -> str:
    """The text with a ? for each character that would not print as itself.

    These control the terminal or the direction of writing, or its encoding lacks them.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return shown.encode(encoding, "replace").decode(encoding)


def redact(text: str) -> str:
    """The text without the credentials in its URLs."""
    return CREDENTIALS.sub("***@", text)


def shorten(text: str, length: int) -> str:
    """The text, cut off if it is longer than `length`."""
    return text if len(text) <= length else f"{text[: length - 3]}..."


def columns() -> int:
    """The width of the terminal, at most MAX_COLUMNS, which is also the width of anything else."""
    return min(shutil.get_terminal_size((MAX_COLUMNS, 24)).columns, MAX_COLUMNS)


def wrapped(paragraphs: Iterable[str]) -> list[str]:
    """Lines that fit; the continuation of a paragraph is indented further than it."""
    lines = []
    for paragraph in paragraphs:
        indent = " " * (len(paragraph) - len(paragraph.lstrip()) + 2)
        lines += textwrap.wrap(
            paragraph, columns(), subsequent_indent=indent, break_on_hyphens=False
        ) or [""]
    return lines
