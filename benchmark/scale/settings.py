"""What a store is made of: said once in its `store.json`, and the same for every job that adds to it."""

import dataclasses
import hashlib
import json
from typing import Any, Self, get_args

from benchmark.data.clips_per_video import ClipsPerVideo
from benchmark.errors import UserError, printable
from benchmark.protocol import VERSION, Protocol
from benchmark.scale.pictures import CODEC, Format
from benchmark.scale.store import Store

STORE_FILE = "store.json"
VIDEOS_FILE = "videos.parquet"
CONTENTS_FILE = "contents.parquet"

_VERSION = 1


@dataclasses.dataclass(frozen=True)
class StoreSettings:
    """What every byte of a store depends on.

    Args:
        form: How frames are kept.
        clips: Clips kept of each video, by its split; `train_epoch` says nothing here.
        sampler_seed: Seed of the clip positions.
        videos_per_shard: Listed videos that share a shard, whichever of them are there.
        class_names: K names.
        listed: Digest of the chosen videos with labels and splits.
        official_videos: How many videos the official lists name, of which these may be a sample.
        version: Of the protocol's pixels.
    """

    form: Format
    clips: ClipsPerVideo
    sampler_seed: int
    videos_per_shard: int
    class_names: tuple[str, ...]
    listed: str
    official_videos: int
    version: int = VERSION

    @property
    def protocol(self) -> Protocol:
        """Where clips lie, how large frames are, and how they were kept if that changed them."""
        return Protocol(sampler_seed=self.sampler_seed, version=self.version, stored=self.stored)

    @property
    def stored(self) -> str | None:
        """What the store has done to the pixels; None where they are the same as in the files."""
        return None if self.form == "exact" else CODEC

    def clips_of(self, split: str) -> int:
        """How many clips of a video are kept."""
        kept: int = getattr(self.clips, split)
        return kept

    def text(self) -> str:
        """As `store.json` has it."""
        fields = dataclasses.asdict(self) | {"layout": _VERSION, "stored": self.stored}
        fields["clips"].pop("train_epoch")
        return json.dumps(fields, indent=1, ensure_ascii=False) + "\n"

    @property
    def identity(self) -> str:
        """16 hexadecimal digits that tell stores apart."""
        return hashlib.sha256(self.text().encode()).hexdigest()[:16]

    @classmethod
    def read(cls, store: Store) -> Self:
        """The settings of a store.

        Raises:
            UserError: If there is none at its address, or it is of another version.
        """
        try:
            held: Any = json.loads(store.read(STORE_FILE))
            if held["layout"] != _VERSION:
                raise UserError(
                    f"the store {store} has layout {held['layout']}, which this version cannot read; prepare it again"
                )
            clips = ClipsPerVideo(**{**held["clips"], "train_epoch": 1})
            if held["form"] not in get_args(Format):
                raise ValueError(f"its format is {held['form']!r}")
            made = cls(held["form"], clips, held["sampler_seed"], held["videos_per_shard"],
                       tuple(held["class_names"]), held["listed"], held["official_videos"],
                       held["version"])  # fmt: skip
            if held["stored"] != made.stored:
                raise UserError(
                    f"the store {store} was made by another codec ({printable(str(held['stored']))}), which this "
                    "version cannot speak for; prepare it again"
                )
        except FileNotFoundError:
            raise UserError(
                f"there is no store at {store}: it has no {STORE_FILE}. `clipbench prepare sports1m --store URL` "
                "makes one"
            ) from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(
                f"{STORE_FILE} of the store {store} cannot be understood: {error}; prepare it again"
            ) from None
        return made

    def write(self, store: Store) -> None:
        """Leave them in a store that has none; one that goes on must have the same.

        Raises:
            UserError: With what differs.
        """
        if STORE_FILE not in store.names(""):
            store.write(STORE_FILE, self.text().encode())
            return
        held, mine = json.loads(StoreSettings.read(store).text()), json.loads(self.text())
        differs = [
            f"{name} is {_short(held[name])} there and {_short(mine[name])} here"
            for name in mine
            if held[name] != mine[name]
        ]
        if differs:
            raise UserError(
                f"the store {store} is of another job: {'; '.join(differs)}. Give the options of its beginning, or "
                "another --store"
            )


def _short(value: object) -> str:
    text = printable(str(value))
    return text if len(text) <= 60 else f"{text[:60]}..."
