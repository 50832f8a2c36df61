"""Names under which a test leaves its numbers in a W&B run, and a W&B report finds them there."""

import hashlib
import json

from benchmark.identity import Identity

METRIC_PREFIX = "test/"
CLIPS_PER_SECOND = "test/clips_per_second"
CONFUSION = "evaluation/confusion"
CLASS_AP = "evaluation/class_ap"
PREDICTIONS = "evaluation/predictions"
PICTURES = "pictures/"
FAILED = "evaluation/failed_videos"
ARTIFACT_TYPE = "evaluation"
FIT = "fit"
"""Key of a test's config that holds id, name and group of the run of its fit."""
BOARD = "board"
"""Key of a run's config that holds `board_key`."""


def board_key(identity: Identity, protocol_hash: str) -> str:
    """Name of a board in filters: 16 hexadecimal digits, whatever quotes or signs the dataset's name has."""
    text = json.dumps([identity.dataset, identity.fold, identity.classes, protocol_hash])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
