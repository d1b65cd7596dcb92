"""Keeps what is secret out of messages."""

import re

# From the scheme to the last @ before the path: user:password@.
CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")


def redact(text: str) -> str:
    """The text without the credentials in its URLs."""
    return CREDENTIALS.sub("***@", text)
