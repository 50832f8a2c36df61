import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from benchmark.errors import UserError
from benchmark.protocol import Protocol
from benchmark.results.average_record import joined_provenance, record_of
from benchmark.results.averaging import System, averaged, require_alike
from benchmark.results.ledger import SCHEMA, Ledger
from benchmark.results.pins import Pins
from benchmark.results.record import Code, Record, Submission
from benchmark.results.scores import metrics
from tests.generators.ledgers import make_ledger, make_record, write_run

ALIKE = [make_ledger(0, model_seed=seed, videos=60, failed=0.05) for seed in (1, 2, 3)]


def system(ledger: Ledger, number: int = 0, **told: object) -> System:
    record: Record = make_record(ledger, name=f"System {number}", ledger_sha256=f"{number:064x}")
    return System(record.model_copy(update=told), ledger)


def changed(ledger: Ledger, column: str, values: list[object]) -> Ledger:
    """With other values in a column."""
    place = SCHEMA.get_field_index(column)
    return Ledger(ledger.info, ledger.table.set_column(place, SCHEMA[place], pa.array(values, SCHEMA[place].type)))


def systems(ledgers: list[Ledger]) -> list[System]:
    return [system(ledger, number) for number, ledger in enumerate(ledgers)]


@pytest.mark.parametrize("weights", [[1 / 3] * 3, [0.5, 0.2, 0.3]])
def test_the_average_is_the_mean_of_probabilities_video_by_video(weights: list[float]) -> None:
    found = averaged(systems(ALIKE), weights)
    for row, scores in enumerate(found.table["scores"].to_pylist()):
        parts = [ledger.table["scores"][row].as_py() for ledger in ALIKE]
        failed = [part is None for part in parts]
        assert (scores is None) == any(failed)
        if scores is not None:
            means = [sum(w * p[k] for w, p in zip(weights, parts, strict=True)) for k in range(len(scores))]
            np.testing.assert_allclose(scores, means, rtol=0, atol=1e-7)
    assert found.table["labels"].equals(ALIKE[0].table["labels"])
    assert found.table["source_group"].equals(ALIKE[0].table["source_group"])


def test_a_video_that_failed_in_one_fails_with_the_reason_and_the_name() -> None:
    found = averaged(systems(ALIKE), [1 / 3] * 3)
    for row, reason in enumerate(found.table["reason"].to_pylist()):
        failed = [number for number, ledger in enumerate(ALIKE) if not ledger.scored[row]]
        expected = None if not failed else "; ".join(f"in System {n}: it holds no frames" for n in failed)
        assert reason == ("it holds no frames" if len(failed) == 3 else expected)
    same = averaged(systems([ALIKE[0], ALIKE[0]]), [0.5, 0.5])
    assert same.failures() == ALIKE[0].failures()


def test_two_seeds_of_one_name_are_two_systems() -> None:
    """Where both fail for one reason it is told alone; where one does, or each for its own, with the name."""
    alike = averaged([system(ALIKE[0], seed, name="Boats") for seed in (0, 1)], [0.5, 0.5])
    assert alike.failures() == ALIKE[0].failures() != {}
    reasons: list[object] = ["it is empty" if reason else None for reason in ALIKE[0].table["reason"].to_pylist()]
    other = changed(ALIKE[0], "reason", reasons)
    found = averaged([system(ALIKE[0], 0, name="Boats"), system(other, 1, name="Boats")], [0.5, 0.5])
    told = {reason for reason in found.table["reason"].to_pylist() if reason}
    assert told == {"in Boats: it holds no frames; in Boats: it is empty"}


def test_the_order_of_the_videos_does_not_matter() -> None:
    turned = ALIKE[1].select(np.arange(len(ALIKE[1]))[::-1])
    one, other = (averaged(systems([ALIKE[0], second]), [0.5, 0.5]) for second in (ALIKE[1], turned))
    assert one.table.equals(other.table)


def test_without_scores_of_clips_there_is_no_clip_level_and_everything_else(tmp_path: Path) -> None:
    found = averaged(systems(ALIKE), [1 / 3] * 3)
    found.write(tmp_path / "ledger.parquet")
    held = Ledger.read(tmp_path / "ledger.parquet")
    assert held.table.equals(found.table)
    assert not held.has_clips
    values = metrics(held)
    assert [name for name, value in values.items() if np.isnan(value)] == ["clip_hit1", "clip_hit5"]


def test_a_ledger_with_ranks_of_some_videos_alone_is_refused(tmp_path: Path) -> None:
    ranks = ALIKE[0].table["clip_ranks"].to_pylist()
    ranks[int(np.flatnonzero(ALIKE[0].scored)[0])] = None
    changed(ALIKE[0], "clip_ranks", ranks).write(tmp_path / "ledger.parquet")
    with pytest.raises(UserError, match="has clip_ranks that its status does not allow, or lacks it"):
        Ledger.read(tmp_path / "ledger.parquet")


REFUSED = {
    "only one has Class6": make_ledger(0, model_seed=9, videos=60, classes=7),
    "another order": dataclasses.replace(
        ALIKE[0], info=dataclasses.replace(ALIKE[0].info, class_names=ALIKE[0].info.class_names[::-1])
    ),
    "clips_per_video is 4 in the first and 5 in the second": make_ledger(0, model_seed=9, videos=60, clips=5),
    "sampler_seed": make_ledger(0, model_seed=9, videos=60, protocol=Protocol(clips_per_video=4, sampler_seed=1)),
    "dataset is Made in the first and Other": make_ledger(0, model_seed=9, videos=60, dataset="Other"),
    "fold is 1 in the first and 2": make_ledger(0, model_seed=9, videos=60, fold=2),
    "1 video is in only one of them, such as v0059": ALIKE[1].select(np.arange(59)),
    "other labels": make_ledger(5, videos=60),
    "another source": make_ledger(0, model_seed=9, videos=60, videos_per_source=4),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_member_of_something_else_is_refused_by_name(reason: str) -> None:
    with pytest.raises(UserError, match=f"Boats cannot be averaged with System 0: .*{reason}"):
        require_alike([system(ALIKE[0]), system(REFUSED[reason], 1, name="Boats")])


def test_clips_at_other_places_are_refused() -> None:
    starts = [each and [start + 1 for start in each] for each in ALIKE[1].table["clip_starts"].to_pylist()]
    with pytest.raises(UserError, match=r"System 1 cannot be averaged .* have other clips in it"):
        require_alike(systems([ALIKE[0], changed(ALIKE[1], "clip_starts", starts)]))


def test_one_system_and_one_given_twice_are_refused() -> None:
    with pytest.raises(UserError, match="of two systems or more; 1 given"):
        require_alike(systems(ALIKE[:1]))
    with pytest.raises(UserError, match="System 0 is given twice"):
        require_alike([system(ALIKE[0]), system(ALIKE[0])])


def test_what_saw_test_videos_is_refused_by_name_unless_it_is_allowed() -> None:
    seen = make_record(ALIKE[1], name="Cheat", ledger_sha256="c" * 64, provenance="contaminated")
    members = [system(ALIKE[0]), System(seen, ALIKE[1])]
    with pytest.raises(UserError, match="Cheat was trained or validated on videos that it was tested on"):
        require_alike(members)
    require_alike(members, allow_contaminated=True)


def test_the_worst_origin_of_the_members_is_the_average_s() -> None:
    assert joined_provenance(["clean", "clean"]) == "clean"
    assert joined_provenance(["clean", "unknown"]) == "unknown"
    assert joined_provenance(["unknown", "contaminated", "clean"]) == "contaminated"


def test_a_ledger_without_its_own_record_is_refused(tmp_path: Path) -> None:
    for number, ledger in enumerate(ALIKE[:2]):
        write_run(tmp_path / str(number), ledger)
    assert System.read(tmp_path / "0" / "ledger.parquet").record == System.read(tmp_path / "0").record
    (tmp_path / "0" / "ledger.parquet").replace(tmp_path / "1" / "ledger.parquet")
    with pytest.raises(UserError, match="is not the ledger of the record beside it"):
        System.read(tmp_path / "1")
    (tmp_path / "1" / "record.json").unlink()
    with pytest.raises(UserError, match="there is no record"):
        System.read(tmp_path / "1")


def test_pins_are_the_worst_member_s_and_a_submission_is_nobody_s() -> None:
    ledgers = [make_ledger(0, model_seed=seed) for seed in range(3)]
    near, far, odd = (
        Pins(version=1, decoder="pyav", grey_levels=grey, largest_pixel=3, probability=probability, video=None)
        for grey, probability in ((0.01, 0.0), (30.0, 0.0), (0.02, 0.9))
    )
    sent = Submission(by="Ann", checkpoint="https://example.org/ann.ckpt")

    def average(*pins: Pins | None) -> Record:
        members = [
            dataclasses.replace(one, record=one.record.model_copy(update={"pins": found, "submission": sent}))
            for one, found in zip(systems(ledgers), pins, strict=True)
        ]
        made = averaged(members, [1 / 3] * 3)
        code = Code(version="1", commit=None, modified=None)
        return record_of(members, [1 / 3] * 3, made, "0" * 64, name=None, code=code, libraries={})

    assert average(near, far, near).pins == far
    assert average(near, odd, near).pins == odd
    assert average(near, near, None).pins is None
    assert average(near, far, near).submission is None
