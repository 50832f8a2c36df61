"""Audits an entry: runs its network where it knows nothing but pictures, and compares with what was submitted."""

import contextlib
import datetime
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import benchmark
from benchmark.commands.audit_findings import (
    Copies,
    Finding,
    agreement,
    formats,
    largest,
    possible_ranks,
    repeats_cost,
    speed,
)
from benchmark.commands.audit_training import training_findings
from benchmark.commands.blinding import Blinding, Showing, Shown, clip_starts
from benchmark.commands.board_speed import require_idle
from benchmark.commands.chosen_data import recorded_data
from benchmark.commands.reproduction import (
    SEEN_TOO,
    other_model,
    recorded_settings,
    require_entry,
    run_test,
    take_members,
)
from benchmark.data.decode import DecodeError
from benchmark.errors import UserError
from benchmark.files import file_hash
from benchmark.isolation import Isolation
from benchmark.leaderboard.audits import Audit
from benchmark.leaderboard.entries import check_record
from benchmark.results.clip_scores import FILE_NAME as CLIPS_NAME
from benchmark.results.clip_scores import ClipScores
from benchmark.results.ledger import FILE_NAME as LEDGER_NAME
from benchmark.results.ledger import Ledger
from benchmark.results.record import FILE_NAME as RECORD_NAME
from benchmark.results.record import Record
from benchmark.runs.operations import CountedOperations, read_work
from benchmark.wording import counted

_USUAL_BATCH = 32  # of a record that says none
_REPEATS = 16
_MORE_VIDEOS = 2  # that a batch of the second test has


class EntryAudit:
    """One audit.

    Args:
        folder: Of the record and ledger.
        checkpoint: The weights.
        data_root: Folder of the videos, or None for the recorded one.
        lists: Folder of the official lists, or None for the recorded one.
        trust_code: Whether to run classes from outside this package; only the data module runs in this process.
        allowed_difference: Of a class probability.

    Raises:
        UserError: If the checkpoint is not the recorded one, the ledger is not at hand, or the data are others.
    """

    def __init__(
        self,
        folder: Path,
        checkpoint: Path,
        data_root: Path | None,
        lists: Path | None,
        trust_code: bool,
        allowed_difference: float,
    ) -> None:
        self.folder, self.checkpoint, self.allowed = folder, checkpoint, allowed_difference
        self.record, path = require_entry(folder, checkpoint)
        self.ledger = Ledger.read(path)
        self.arithmetic = check_record(self.record, self.ledger, file_hash(path))
        self.settings = recorded_settings(self.record, data_root, lists, trust_code)
        take_members(self.settings, self.record, checkpoint)
        self.data = recorded_data(self.record, data_root, lists, trust_code)
        index = self.data.index
        if (index.identity, index.fingerprint) != (self.record.identity, self.record.dataset.fingerprint):
            raise UserError(
                f"the record is about {self.record.identity}, videos {self.record.dataset.fingerprint}, and here are "
                f"{index.identity}, videos {index.fingerprint}; pass the same videos as --data_root"
            )

    def run(self, videos: int, copies: int) -> tuple[Audit | None, list[Finding]]:
        """Score a random sample twice and draw conclusions.

        Args:
            videos: Number of videos, drawn at random by a seed that nobody can know beforehand.
            copies: How many of them get a changed copy.

        Returns:
            What may be left beside the record, or None where the network did not run; and all findings.
        """
        self.seed = secrets.randbelow(2**31)
        rng, busy = np.random.default_rng(self.seed), _busy()
        findings = [*self._records(), *training_findings(self.record, self.checkpoint, self.data)]
        drawn = rng.permutation(len(self.ledger))[:videos]
        self.sample = self.ledger.select(np.sort(drawn))
        findings.append(self._labels())
        with tempfile.TemporaryDirectory() as scratch:
            chosen = self._blinded(Blinding(Path(scratch) / "files", rng), copies)
            findings.append(chosen.clips)
            try:
                audit, more = self._score(Path(scratch), chosen, busy)
            except UserError as error:
                return None, [*findings, Finding("the network", "problem", str(error))]
        return audit, [*findings, *more]

    def _records(self) -> Iterator[Finding]:
        """Whether the submission agrees with itself."""
        said = "; ".join(self.arithmetic[:3]) or "every number follows from the ledger, and clips lie where they must"
        yield Finding("record and ledger", "problem" if self.arithmetic else "holds", said)

    def _labels(self) -> Finding:
        """Whether the ledger's labels are the data's."""
        index, sample = self.data.index, self.sample
        rows = {name: row for row, name in enumerate(index.table["video_id"].to_pylist())}
        names = zip(sample.video_ids, sample.table["labels"].to_pylist(), strict=True)
        wrong = [n for n, held in names if n not in rows or index.table["labels"][rows[n]].as_py() != held]
        said = (
            f"other labels than the data on {len(wrong)} of {counted(len(sample), 'video')}"
            if wrong
            else "they are the data's"
        )
        return Finding("labels", "problem" if wrong else "holds", said)

    def _blinded(self, blinding: Blinding, copies: int) -> "_Chosen":
        sample, protocol = self.sample, self.ledger.info.protocol
        recorded = sample.table["clip_starts"].to_pylist()
        files: list[Shown] = []
        moved = 0
        to_copy = set(blinding.rng.permutation(np.flatnonzero(sample.scored))[:copies].tolist())
        for place, name in enumerate(sample.video_ids):
            video = self.data.index.find(name)
            if video is None:
                raise UserError(f"{name} is in the ledger and not under {self.data.index.root}; pass --data_root")
            starts: tuple[int, ...] = ()
            with contextlib.suppress(DecodeError):
                starts = clip_starts(video, protocol) if recorded[place] else ()
            moved += recorded[place] is not None and tuple(recorded[place]) != starts
            files.append(blinding.video(place, video.path, starts))
            copy = blinding.copy(place, video.path, starts) if place in to_copy else None
            files += [] if copy is None else [copy]
        said = (
            f"of {counted(moved, 'video')} they are not where the protocol has them"
            if moved
            else "they are the protocol's"
        )
        return _Chosen(blinding, files, Finding("clips", "problem" if moved else "holds", said))

    def _score(self, scratch: Path, chosen: "_Chosen", busy: str | None) -> tuple[Audit, list[Finding]]:
        sample, names = len(self.sample), self.ledger.info.class_names
        recorded = self.settings["data"]["init_args"]
        first_size = int(recorded.get("batch_size", _USUAL_BATCH))
        per_video = max(1, self.sample.clips_per_video)
        sizes = (first_size, (max(1, first_size // per_video) + _MORE_VIDEOS) * per_video)
        scored = [one for one in chosen.files if one.kind == "video" and self.sample.scored[one.place]]
        half = [one for one in chosen.files if one.kind == "copy" or one.place % 2 == 0]
        again = [scored[n] for n in chosen.blinding.rng.permutation(len(scored))[:_REPEATS]]
        showings = [chosen.blinding.shown(files, again, names) for files in (chosen.files, half)]
        counting = f"{CountedOperations.__module__}.{CountedOperations.__qualname__}"
        ledgers, isolation = [], None
        for number, (showing, size) in enumerate(zip(showings, sizes, strict=True)):
            data = showing.data_settings(recorded, size, workers=number)
            trainer = dict(self.settings["trainer"])
            if number:
                work = scratch / "work"
                trainer["callbacks"] = [{"class_path": counting, "init_args": {"folder": str(work)}}]
            settings = {**self.settings, "trainer": trainer, "data": data}
            kept = ("--keep_clips", "true", *SEEN_TOO)
            isolation = run_test(settings, self.checkpoint, scratch / f"run{number}", *kept, isolate=True)
            ledgers.append(Ledger.read(scratch / f"run{number}" / LEDGER_NAME))
        measured = Record.read(scratch / "run0")
        results = _Results(showings, ledgers, sample)
        copies = Copies.of(self.sample.scores, results.copies, self.sample.labels)
        from_ledger = largest(self.sample.scores, results.videos)
        different, batches = other_model(self.record, measured), read_work(work)
        findings = [
            Finding("the network", "problem" if different else "holds", different or "it is the one of the record"),
            agreement(
                "scores", f"of {sample} blinded, shuffled videos against the ledger", from_ledger, self.allowed
            ),
            agreement(
                "batches", f"batches of {sizes[0]} and {sizes[1]}, two orders, workers, repeats", results.change,
                self.allowed,
            ),
            *self._clip_ranks(showings[0], scratch / "run0" / CLIPS_NAME),
            copies.finding(),
            repeats_cost(showings[1], batches),
            formats(self.record, batches),
            speed(self.record, measured, busy),
        ]  # fmt: skip
        return self._audit(findings, copies, results, from_ledger, sizes, isolation), findings

    def _clip_ranks(self, showing: Showing, path: Path) -> Iterator[Finding]:
        """Whether the ranks of single clips, which clip Hit@k follow from, came out too."""
        if not self.sample.has_clips or not path.is_file():
            return
        said = ClipScores.read(path).said("test")
        found = {name: row for row, name in enumerate(said.video_ids)}
        files = {one.place: name for name, one in zip(showing.names, showing.files, strict=True) if one.kind == "video"}
        held = [n for n in np.flatnonzero(self.sample.scored).tolist() if files[n] in found]
        place = np.cumsum(self.sample.scored) - 1  # among the videos that have ranks
        scores = said.scores[[found[files[n]] for n in held]]
        wrong = possible_ranks(scores, self.sample.labels[held], self.sample.clip_ranks[place[held]], self.allowed)
        text = f"{wrong} ranks of clips did not come out" if wrong else "the ranks of all clips came out"
        yield Finding("clips' ranks", "problem" if wrong else "holds", text)

    def _audit(
        self,
        findings: list[Finding],
        copies: Copies,
        results: "_Results",
        difference: float,
        sizes: tuple[int, int],
        isolation: Isolation | None,
    ) -> Audit:
        return Audit(
            ledger_sha256=self.record.ledger.sha256,
            checkpoint_sha256=self.record.checkpoint.sha256,
            record_sha256=file_hash(self.folder / RECORD_NAME),
            videos=len(self.sample),
            seed=self.seed,
            largest_difference=difference,
            allowed_difference=self.allowed,
            created=datetime.datetime.now(datetime.UTC),
            code=benchmark.__version__,
            isolation=isolation or "connections refused by Python alone",
            copies=copies.copies,
            right=copies.right,
            lost=copies.lost,
            gained=copies.gained,
            repeats=results.repeats,
            largest_change=results.change,
            batch_sizes=sizes,
            not_judged=tuple(each.about for each in findings if each.outcome == "not judged"),
        )


class _Chosen:
    def __init__(self, blinding: Blinding, files: list[Shown], clips: Finding) -> None:
        self.blinding, self.files, self.clips = blinding, files, clips


class _Results:
    """What two tests say of the same files."""

    def __init__(self, showings: list[Showing], ledgers: list[Ledger], sample: int) -> None:
        found: list[dict[str, Any]] = [
            {kind: showing.scores(ledger, kind, sample) for kind in ("video", "copy", "repeat")}
            for showing, ledger in zip(showings, ledgers, strict=True)
        ]
        self.videos, self.copies = found[0]["video"], found[0]["copy"]
        first, second = found
        pairs = [(first, "video", second, "video", showings[1].places("video"))]
        pairs += [(first, "copy", second, "copy", showings[1].places("copy"))]
        pairs += [(first, "video", each, "repeat", showings[0].places("repeat")) for each in found]
        self.change = max(largest(a[one][rows], b[other][rows]) for a, one, b, other, rows in pairs)
        self.repeats = len(showings[0].places("repeat"))


def _busy() -> str | None:
    try:
        require_idle()
    except UserError as error:
        return str(error)
    return None
