"""Sports-1M from a store of prepared clips, on disk, S3 or over HTTP: the same clips and batches as from files."""

import dataclasses
import functools
import hashlib
import inspect
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch.utils.data import DataLoader

from benchmark.clip import ClipBatch
from benchmark.content import Contents
from benchmark.data.cache import FrameCache
from benchmark.data.clips_per_video import ClipsPerVideo
from benchmark.data.content_store import MOST_VIDEOS
from benchmark.data.datamodule import VideoDataModule
from benchmark.data.dataset import ClipReader
from benchmark.data.decode import DecodeError
from benchmark.data.index import SCHEMA, Split, VideoIndex
from benchmark.data.loader import EpochBatches, ResumableLoader, VideoBatches
from benchmark.data.loaders import ClipLoaders
from benchmark.data.sports1m import describe_shares
from benchmark.errors import UserError
from benchmark.identity import Identity
from benchmark.protocol import Protocol
from benchmark.scale import pictures
from benchmark.scale.catalogue import Catalogue
from benchmark.scale.clips import ShardClipReader, ShardPlaces
from benchmark.scale.near import NearPairs, near_pairs
from benchmark.scale.store import Store

_SHOWN_OFFSETS = (0, 4, 8, 12, 15)


class ShardLoaders(ClipLoaders):
    """Loaders of clips that a store keeps."""

    data: "Sports1MShards"

    def training(self, batches: EpochBatches) -> ResumableLoader:
        """Random clips; each worker fetches its next batch while it decodes one."""
        batches.workers = self.data.num_workers
        return super().training(batches)

    def evaluation(self, split: Split, batches: VideoBatches) -> DataLoader[ClipBatch]:
        """All clips of each video; each worker fetches its next batch while it decodes one."""
        batches.workers = self.data.num_workers
        return super().evaluation(split, batches)

    def reader(self, protocol: Protocol, cache: FrameCache | None) -> ClipReader:
        """What reads them."""
        return ShardClipReader(protocol, self.data.needs.frame_offsets, "pyav", cache, self.data.places)


class Sports1MShards(VideoDataModule):
    """Sports-1M from a store that `prepare sports1m --store URL` has made (section 4.1).

    Args:
        store: Folder or address of the store: `s3://bucket/folder`, `https://...` for reading.
        clips_per_video: Clips of each video for each purpose; at most as many as the store keeps.
        shared: What every data module takes, see `VideoDataModule`; frames are decoded already, and clips count frames.

    Raises:
        UserError: If a decoder or a length of clips is chosen, which were when the store was made.
    """

    def __init__(self, store: str, *, clips_per_video: ClipsPerVideo = ClipsPerVideo(train=100), **shared: Any) -> None:
        super().__init__(None, clips_per_video=clips_per_video, **shared)
        if self.decoder != "pyav" or self._test_protocol.clip_seconds is not None:
            raise UserError(
                f"data.decoder is {self.decoder} and data.clip_seconds is "
                f"{self._test_protocol.clip_seconds}; the frames "
                "of a store were chosen and decoded when it was made. Leave out both"
            )
        self.store = store
        self.loaders = ShardLoaders(self)

    @functools.cached_property
    def catalogue(self) -> Catalogue:
        """What the store holds, read when first asked for."""
        return Catalogue.read(Store(self.store))

    @property
    def frames_made_by(self) -> str:  # type: ignore[override]
        """What the bytes of a frame depend on: the store, and the code that reads it."""
        return hashlib.sha256(f"{self.catalogue.settings.identity}{inspect.getsource(pictures)}".encode()).hexdigest()

    def _with_clip_of_model(self, protocol: Protocol) -> Protocol:
        """As the store was made."""
        settings = self.catalogue.settings
        wanted = super()._with_clip_of_model(protocol)
        differs = [
            f"{name} {getattr(wanted, name)} in place of {getattr(settings.protocol, name)}"
            for name in ("clip_frames", "frame_side", "sampler_seed", "version")
            if getattr(wanted, name) != getattr(settings.protocol, name)
        ]
        if differs:
            raise UserError(
                f"the store {self.store} was made with other clips: {', '.join(differs)} wanted; prepare another"
            )
        kept, asked = settings.clips, self.clips_per_video
        few = [
            f"{name} {getattr(asked, name)} of {getattr(kept, name)}"
            for name in ("train", "validation", "test")
            if getattr(asked, name) > getattr(kept, name)
        ]
        if few:
            raise UserError(
                f"the store {self.store} keeps fewer clips a video than data.clips_per_video asks for: "
                f"{', '.join(few)}; lower them"
            )
        return dataclasses.replace(wanted, stored=settings.stored)

    def read_index(self) -> VideoIndex:
        """The listed videos; what was not fetched counts as missing, what could not be decoded as broken."""
        catalogue = self.catalogue
        videos = catalogue.videos
        state = videos["state"].cast(pa.string())
        is_held = pc.is_in(state, pa.array(["fetched", "undecodable"]))
        columns = {
            "video_id": videos["video_id"],
            "path": pc.if_else(is_held, videos["video_id"], pa.scalar(None, pa.string())),
            "labels": videos["labels"],
            "split": videos["split"],
            "source_group": pa.nulls(len(videos), pa.string()),
        }
        table = pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)
        settings = catalogue.settings
        return VideoIndex(
            Identity("Sports-1M"),
            Path(self.store),
            table.combine_chunks(),
            settings.class_names,
            official_videos=settings.official_videos,
        )

    @functools.cached_property
    def places(self) -> ShardPlaces:
        """Where the clips of each row are."""
        videos, settings = self.catalogue.videos, self.catalogue.settings
        columns = [videos[name].to_numpy() for name in ("shard", "offset", "index_offset", "end", "frames")]
        split = videos["split"].cast(pa.string())
        clips = np.zeros(len(videos), np.int64)
        for name in ("train", "validation", "test"):
            clips[pc.equal(split, name).to_numpy(zero_copy_only=False)] = settings.clips_of(name)
        numbers = torch.from_numpy(np.stack([*columns, clips], 1).astype(np.int64))
        broken = np.flatnonzero(
            pc.equal(videos["state"].cast(pa.string()), "undecodable").to_numpy(zero_copy_only=False)
        )
        reasons = videos["reason"].take(pa.array(broken)).to_pylist()
        return ShardPlaces(self.catalogue.store, settings, numbers, dict(zip(broken.tolist(), reasons, strict=True)))

    def contents_of(self, rows: np.ndarray, *, most: int | None = MOST_VIDEOS) -> Contents:
        """What the videos of some rows show, known since they were prepared.

        Where more than `most` are held, runs compare files by their bytes alone; `audit` has what scales for frames.
        """
        known = self.catalogue.contents(rows)
        held = len(self.index) - self.index.table["path"].null_count
        return known if most is None or held <= most else Contents(known.digests, np.zeros_like(known.prints))

    def near_duplicates(self, rows: np.ndarray) -> NearPairs:
        """Pairs among the videos of some rows that share frames, by their places in `rows`; fit for a million."""
        return near_pairs(self.catalogue.hashes(rows), threads=os.cpu_count() or 1)

    def shown_frames(self, video_id: str) -> np.ndarray | None:
        """Five frames of the first clip of a video; None where it is not there or could not be decoded."""
        video = self.index.find(video_id)
        if video is None:
            return None
        reader = ShardClipReader(self.catalogue.settings.protocol, _SHOWN_OFFSETS, places=self.places)
        try:
            frames: np.ndarray = reader.read(video, [0]).frames[0]
        except DecodeError:
            return None
        return frames

    def setup(self, stage: str) -> None:
        """As for files; what reads whole videos cannot read a store of clips."""
        if getattr(self._model(), "reads_whole_videos", False):
            raise UserError(
                f"{type(self._model()).__name__} reads whole videos, of which a store keeps clips; use files"
            )
        super().setup(stage)

    def summary(self) -> str:
        """Three lines: the splits beside the paper's shares, what is held, and what became of the others."""
        states = pc.value_counts(self.catalogue.videos["state"].cast(pa.string())).to_pylist()
        counts = ", ".join(f"{row['counts']:,} {row['values']}" for row in sorted(states, key=lambda r: -r["counts"]))
        settings = self.catalogue.settings
        form = settings.form if settings.stored is None else f"{settings.form} ({settings.stored})"
        return f"{describe_shares(self.index)}\n{self.index.summary()}\nstore {self.store}, {form}: {counts}"
