"""The one error style: what a user can cause is a `UserError`, shown as one message without a traceback."""


class UserError(ValueError):
    """Something the user can fix; the message holds the value received, what is allowed and what to change."""


class DatasetNotFoundError(UserError):
    """The folder or list file of a dataset is not where the configuration says."""


def printable(text: str) -> str:
    """The text with everything escaped that a terminal would obey."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
