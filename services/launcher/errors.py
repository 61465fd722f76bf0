"""Errors of the launcher."""


class StartError(Exception):
    """Raised when the stack cannot be started; the text is for the user: what happened, to what, and what to do."""
