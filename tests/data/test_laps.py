import threading
import time

from benchmark.data.laps import lap, measured_laps


def test_each_stage_gets_the_time_since_the_lap_before_it() -> None:
    with measured_laps() as seconds:
        begin = time.perf_counter()
        for _ in range(2):
            time.sleep(0.02)
            lap("open")
            lap("decode")
        whole = time.perf_counter() - begin
    assert seconds.keys() == {"open", "decode"}
    assert 0.04 <= seconds["open"]
    assert 0 <= seconds["decode"] <= seconds["open"] + seconds["decode"] <= whole + 0.01


def test_nothing_counts_outside_or_in_other_threads() -> None:
    lap("open")
    with measured_laps() as seconds:
        thread = threading.Thread(target=lap, args=("decode",))
        thread.start()
        thread.join()
    lap("open")
    assert seconds == {}
