"""The one error style: what a user can cause is a `UserError`, shown as one message without a traceback."""

from pathlib import Path


class UserError(ValueError):
    """Something the user can fix; the message holds the value received, what is allowed and what to change."""


class DatasetNotFoundError(UserError):
    """The folder or list file of a dataset is not where the configuration says."""


def not_a_folder(root: Path | str) -> DatasetNotFoundError:
    """What is said of a data set's folder that is not there."""
    return DatasetNotFoundError(f"data.root is {root}, which is not a folder. Pass the folder of the videos.")


def no_such_video(option: str, path: Path | str) -> DatasetNotFoundError:
    """What is said of a file or folder to predict that is not there."""
    return DatasetNotFoundError(f"{option} names {path}, which does not exist")


def no_such_checkpoint(wanted: str, path: Path | str) -> UserError:
    """What is said of a checkpoint that is not there."""
    return UserError(f"--ckpt_path {wanted}: there is no file {path}; give a checkpoint, `last` or `best`")


def needs_checkpoint(verb: str) -> UserError:
    """What is said of a verb that was given no checkpoint."""
    return UserError(f"{verb} needs --ckpt_path: a checkpoint, `last` or `best`")


def printable(text: str) -> str:
    """The text with everything escaped that a terminal would obey."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
