"""What differs from the paper's runs of Table 1, read from the records of ours."""

from collections.abc import Iterable, Sequence
from typing import Any

from benchmark.results.record import Record
from benchmark.wording import counted

_RECIPE = ("model", "recipe")
_SPORTS, _EPOCH_CLIPS, _TEST = "Sports-1M", 100, (20, 4)


def differences(records: Sequence[Record]) -> list[str]:
    """One sentence a difference; nothing without records.

    Args:
        records: Of the finished tests.
    """
    if not records:
        return []
    found = []
    data = sorted({record.dataset.name for record in records})
    chosen = sorted({len(record.dataset.classes) for record in records if record.dataset.classes is not None})
    if data != [_SPORTS] or chosen:
        subset = f", {_listed(chosen)} chosen classes" if chosen else ""
        found.append(f"Videos: {_listed(data)}{subset}; the paper's are of Sports-1M, 487 classes.")
    videos = sorted({f"{record.videos:,}" for record in records})
    found.append(f"Test videos of a test: {_listed(videos)}; the paper's are 200,000.")
    shares = [record.dataset.held_share for record in records if record.dataset.held_share is not None]
    if shares and min(shares) < 1:
        found.append(f"Down to {min(shares):.1%} of the official test videos are held.")
    if widths := _different(records, ("model", "width"), 1.0):
        found.append(f"Width: {_listed(widths)} of the paper's channels.")
    for name, value, title in (
        ("learning_rate", 0.001, "Learning rate"),
        ("cooldown", 0, "Share of the run in which the learning rate cools down"),
        ("warmup_steps", 0, "Steps of warm-up"),
        ("momentum", 0.9, "Momentum"),
        ("weight_decay", 0.0005, "Weight decay"),
    ):
        if others := _different(records, (*_RECIPE, name), value):
            found.append(f"{title}: {_listed(others)}; the paper's is {value}.")
    if factors := _different(records, (*_RECIPE, "plateau_factor"), None):
        patience = _listed(_different(records, (*_RECIPE, "plateau_patience"), None))
        found.append(
            f"Where validation stops improving, the learning rate is multiplied by {_listed(factors)}, after more than "
            f"{patience} validations without improvement; the paper states neither."
        )
    if dropout := _different(records, ("model", "dropout"), 0.0):
        found.append(
            f"Dropout in front of the hidden fully connected layers: {_listed(dropout)}; the paper names none for the "
            "training of Table 1."
        )
    if epochs := sorted({_at(record, ("trainer", "max_epochs")) for record in records} - {None}):
        found.append(f"Epochs: {_listed(epochs)}; the paper trained for up to a month and states none.")
    if clips := _different(records, ("data", "clips_per_video", "train"), _EPOCH_CLIPS):
        found.append(f"Training clips of a video: up to {_listed(clips)}; the paper's up to {_EPOCH_CLIPS}.")
    if _different(records, ("data", "augmentation", "smallest_region"), None) or _different(
        records, ("data", "augmentation", "colour"), 0.0
    ):
        found.append("Training clips also vary in size, shape and colour.")
    test = {(record.protocol.clips_per_video, len(record.protocol.views)) for record in records} - {_TEST}
    for clips_per_video, views in sorted(test):
        found.append(
            f"Tested on {counted(clips_per_video, 'clip')} in {counted(views, 'view')}; "
            f"the paper on {_TEST[0]} in {_TEST[1]}."
        )
    # A fit and its test share the options of the Trainer, so the test's record knows of both.
    processes = sorted({record.hardware.processes for record in records})
    found.append(
        f"Trained by {_listed(processes)} {'process' if processes == [1] else 'processes'} in step; the paper's "
        "replicas, 10 to 50, were asynchronous (Downpour SGD)."
    )
    if any(record.checkpoint.provenance != "clean" for record in records):
        found.append("Not all weights are known to be clean of test videos.")
    return found


def _different(records: Sequence[Record], path: tuple[str, ...], usual: Any) -> list[Any]:
    """Values other than the paper's, of the records that have one."""
    values = {_at(record, path, _MISSING) for record in records} - {usual, _MISSING}
    return sorted(values, key=str)


_MISSING = "missing"


def _at(record: Record, path: tuple[str, ...], default: Any = None) -> Any:
    """A value of a record's configuration, whether its classes' options lie under `init_args` or not."""
    held: Any = record.config
    for name in path:
        if not isinstance(held, dict):
            return default
        held = held.get("init_args", held) if name not in held else held
        held = held.get(name, default) if isinstance(held, dict) else default
    return default if isinstance(held, dict | list) else held


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(map(str, values))
