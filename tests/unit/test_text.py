"""Text of others on the terminal."""

import pytest

from digits.text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("seven é 七.png", "seven é 七.png"),
        ("\x1b[2Jseven\n.png", "?[2Jseven?.png"),
        ("\x9b2Jseven", "?2Jseven"),
        ("a\u202egnp.exe", "a?gnp.exe"),
        ("\udce9.png", "?.png"),
    ],
)
def test_what_would_not_print_as_itself_is_a_question_mark(text: str, shown: str) -> None:
    assert printable(text) == shown
