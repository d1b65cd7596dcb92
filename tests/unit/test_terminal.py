"""Text of others, on the terminal."""

import pytest

from digits.plumbing.terminal import redact, sanitize, wrap


def test_credentials_in_a_url_are_not_shown() -> None:
    text = "https://me:secret@host/path, ssh://me:se@cret@host and s3://key:secret@b failed"
    assert redact(text) == "https://***@host/path, ssh://***@host and s3://***@b failed"
    assert redact("s3://bucket/a@b and me@host") == "s3://bucket/a@b and me@host"


def test_control_characters_are_not_printed() -> None:
    assert sanitize("ü 数 \x1b[31m \x9b2J \u202e\udc80") == "ü 数 ?[31m ?2J ??"


def test_lines_fit_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    assert wrap(["a a a a a a", "", "  b b b b b"]) == [
        *("a a a a a", "  a"),
        "",
        *("  b b b b", "    b"),
    ]
