"""Whether clips can lie where a ledger says: each start follows from the protocol, the video's name and its length."""

from benchmark.protocol import clip_draw
from benchmark.results.ledger import Ledger


def impossible_clips(ledger: Ledger) -> list[str]:
    """Names of the scored videos of which no length gives the recorded starts of all clips.

    A ledger does not hold the lengths. Of 20 clips, though, one moved by a frame leaves no length that gives the rest.
    """
    seed, found = ledger.info.protocol.sampler_seed, []
    columns = zip(ledger.video_ids, ledger.table["clip_starts"].to_pylist(), strict=True)
    for video, starts in columns:
        places = _places(seed, video, starts or [])
        if places[0] > places[1]:
            found.append(video)
    return found


def _places(seed: int, video: str, starts: list[int]) -> tuple[int, int]:
    """Fewest and most places that a clip of the video may have begun at."""
    fewest, most = 1, 2**40
    for clip, start in enumerate(starts):
        draw = clip_draw(seed, video, clip)
        if not draw:
            most = most if start == 0 else 0
            continue
        # start = floor(draw * places / 2**64)
        fewest = max(fewest, -(-(start << 64) // draw))
        most = min(most, -(-((start + 1) << 64) // draw) - 1)
    return fewest, most
