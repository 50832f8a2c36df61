import dataclasses
import json
import math
from pathlib import Path

import pytest

from benchmark.commands.speed_tables import comparison_tables, speed_tables
from benchmark.speed.chart import write_chart
from benchmark.speed.report import Gain, Loading, Machine, NetworkSpeed, PeerComparison, SpeedReport, Stage, Training

MACHINE = Machine("a processor", 2, 2, "cpu", "2", {}, {"float32": 100.0, "bfloat16": 400.0}, 1e10)


def stage(name: str, *seconds: float, clips: int = 10) -> Stage:
    return Stage(name, (clips,) * len(seconds), seconds)


def report() -> SpeedReport:
    loading = Loading(
        decoder="pyav",
        stages=(stage("open", 1.0, 1.0), stage("decode", 2.0, 3.0)),
        whole=stage("all of it", 4.0, 5.0),
        decoding_alone=stage("decoding alone", 2.0, 4.0),
        timelines=stage("timeline of a file", 0.5),
        cached=None,
        unreadable=0,
    )
    parts = {part: stage(part, 1.0, 3.0) for part in ("waiting", "forward", "backward", "optimizer")}
    training = Training(
        "bf16-mixed",
        "bfloat16",
        5,
        2,
        timed_batches=2,
        whole_epochs=0,
        transfer=None,
        peak_memory_mb=1.0,
        **parts,
        inference_gflop_per_clip=1.0,
        training_gflop_per_clip=3.0,
    )
    full = NetworkSpeed("full", 10, 6.0, 4.0, stage("full, testing", 4.0, 9.0))
    multires = NetworkSpeed("multires", 8, 3.0, 1.0, stage("multires, testing", 2.0, 3.0))
    return SpeedReport("small", MACHINE, loading, training, (Gain("testing", full, multires),), None, {"a": math.nan})


def test_rates_and_milliseconds_of_rounds() -> None:
    timed = Stage("decode", (10, 20, 30), (1.0, 1.0, 1.0))
    assert timed.clips_per_second == (10, 20, 30)
    assert timed.rate == 20
    assert timed.milliseconds_per_clip == pytest.approx((100, 50, 100 / 3))
    assert timed.milliseconds == pytest.approx(50)
    assert Stage("decode", (0,), (0.0,)).rate == math.inf


@pytest.mark.parametrize(("clips", "seconds"), [((), ()), ((1,), (1.0, 2.0))])
def test_a_stage_has_a_count_for_every_time(clips: tuple[int, ...], seconds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="counts"):
        Stage("decode", clips, seconds)


def test_what_follows_from_the_stages() -> None:
    held = report()
    assert held.training is not None
    assert held.loading.share_of_limit == pytest.approx((2 / 4 + 4 / 5) / 2)
    assert held.training.compute.seconds == (3, 9)
    assert held.training.end_to_end.seconds == (4, 12)
    assert held.training.waiting_share == pytest.approx(4 / 16)
    # 10 clips of 3 GFLOP in 3 and in 9 s.
    assert held.training.share_of_peak(MACHINE) == pytest.approx(3 * (10 / 3 + 10 / 9) / 2 / 400)
    (gain,) = held.gains
    assert (gain.by_arithmetic, gain.by_roofline, gain.measured) == (2, 4, (2, 3))


def test_the_file_holds_every_round(tmp_path: Path) -> None:
    report().write(tmp_path / "new/speed.json")
    held = json.loads((tmp_path / "new/speed.json").read_text("utf-8"))
    assert held["loading"]["stages"][1] == {"name": "decode", "clips": [10, 10], "seconds": [2.0, 3.0]}
    assert held["config"] == {"a": None}
    assert held["machine"]["matmul_peak_gflop_per_second"]["bfloat16"] == 400


def test_the_picture_is_one(tmp_path: Path) -> None:
    write_chart(report(), tmp_path / "speed.png")
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")
    write_chart(report(), tmp_path / "speed.svg")
    text = (tmp_path / "speed.svg").read_text("utf-8")
    for said in ("all of it", "waiting", "end to end", "a fit, 2 loader processes", "800.00"):
        assert f">{said}<" in text.replace("> ", ">")


def test_both_of_ours_are_set_beside_every_other() -> None:
    raced = (
        Stage("clipbench, first opening", (10, 10), (2.0, 2.0)),
        Stage("clipbench, opened before", (10, 10), (1.0, 1.0)),
        Stage("opencv", (10, 10), (3.0, 3.0)),
    )
    shown = comparison_tables(PeerComparison(raced, raced, {}, {}))
    first, before, opencv = shown.splitlines()[2:5] if "---" in shown.splitlines()[1] else shown.splitlines()[1:4]
    assert "our first opening is" in shown.splitlines()[0]
    assert "ours, opened before, is" in shown.splitlines()[0]
    assert first.split()[-1:] == ["2.00x"]
    assert before.split()[-1:] == ["0.50x"]
    assert opencv.split()[-2:] == ["1.50x", "3.00x"]
    assert "learns a file's timeline when a process first opens it" in shown


def test_what_was_timed_is_said() -> None:
    held = report()
    assert "2 loader workers; 2 batches timed\n" in speed_tables(held)
    assert held.training is not None
    short = dataclasses.replace(held.training, timed_batches=12, whole_epochs=3)
    said = "2 loader workers; 3 whole epochs of 4 batches timed, each from empty loaders\n"
    assert said in speed_tables(dataclasses.replace(held, training=short))
