"""The one error style: what a user can cause is a `UserError`, shown as one message without a traceback."""


class UserError(ValueError):
    """Something the user can mend; the message holds the value received, what is allowed and what to change."""


class DatasetNotFoundError(UserError):
    """The folder or list file of a dataset is not where the configuration says."""
