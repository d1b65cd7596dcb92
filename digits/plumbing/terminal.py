"""Terminal output, often from untrusted sources: names, values, messages."""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable

# User and password in a URL, up to the last @ before the path.
CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")
MIN_COLUMNS, MAX_COLUMNS = 10, 100


def sanitize(text: str, encoding: str = "") -> str:
    """Return the text with a ? for each character that would not print as itself.

    Such a character controls the terminal or the direction of writing, or the encoding, by default
    that of standard output, lacks it.
    """
    encoding = encoding or getattr(sys.stdout, "encoding", None) or "utf-8"
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return shown.encode(encoding, "replace").decode(encoding)


def redact(text: str) -> str:
    """Return the text without the credentials in its URLs."""
    return CREDENTIALS.sub("***@", text)


def shorten(text: str, length: int) -> str:
    """Return the text, cut off if it is longer than `length`."""
    return text if len(text) <= length else f"{text[: length - 3]}..."


def announce(step: str) -> None:
    """Tell a terminal about a step that takes seconds, when it begins."""
    if sys.stderr and sys.stderr.isatty():
        print(f"{step} ...", file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """Print a warning on standard error."""
    print(f"warning: {text}", file=sys.stderr)


def columns() -> int:
    """Return the terminal's width within its limits; MAX_COLUMNS if output is redirected."""
    width = shutil.get_terminal_size((MAX_COLUMNS, 24)).columns
    return max(MIN_COLUMNS, min(width, MAX_COLUMNS))


def wrap(paragraphs: Iterable[str]) -> list[str]:
    """Return lines that fit; the second and later lines of a paragraph are indented further."""
    lines = []
    for paragraph in paragraphs:
        indent = " " * (len(paragraph) - len(paragraph.lstrip()) + 2)
        lines += textwrap.wrap(
            paragraph, columns(), subsequent_indent=indent, break_on_hyphens=False
        ) or [""]
    return lines
