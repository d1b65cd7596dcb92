"""Define the one exception whose message is meant for people."""


class UserError(Exception):
    """A mistake that the user can fix: the message has the place, the problem and the remedy."""


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, for use within a one-line message."""
    return (str(error) or type(error).__name__).splitlines()[0]
