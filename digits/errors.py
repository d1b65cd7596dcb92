"""The one exception whose message is meant for people."""


class UserError(Exception):
    """A mistake that the user can fix: the message says where, what is wrong and what to do."""
