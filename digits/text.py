"""Text of others, such as file names, on the terminal."""

import sys


def printable(text: str) -> str:
    """`text` with a question mark for each character that would not print as itself.

    These are control and format characters, among them those that start an escape sequence or turn
    the direction of writing, line breaks, and what the encoding of standard output lacks.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    shown = "".join(char if char.isprintable() else "?" for char in text)
    return shown.encode(encoding, "replace").decode(encoding)
