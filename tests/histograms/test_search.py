import csv
from pathlib import Path

import pytest
import yaml

pytest.importorskip("skimage", reason="needs skimage, of the extra histograms")

from benchmark.cli import main
from benchmark.errors import UserError
from benchmark.histograms.features import NAMES
from benchmark.histograms.search import Laboratory, Options, search
from benchmark.results.ledger import Ledger
from tests.histograms.test_whole_videos import DriftingScenes
from tests.histograms.test_whole_videos import few_descriptors as few_descriptors
from tests.histograms.test_whole_videos import root as root
from tests.histograms.test_whole_videos import store as store


def words_of(root: Path, store: Path, *more: str) -> list[str]:
    data = ["--data", "tests.histograms.test_whole_videos.DriftingScenes", "--data.root", str(root)]
    return [*data, "--data.num_workers", "0", "--data.batch_size", "4", "--store", str(store), *more]


def test_draws_are_functions_of_seed_and_number() -> None:
    assert Options.drawn(0, 3) == Options.drawn(0, 3)
    assert len({Options.drawn(0, trial) for trial in range(20)}) > 15
    assert Options.drawn(1, 3) != Options.drawn(0, 3)
    drawn = [Options.drawn(2, trial) for trial in range(300)]
    assert {options.hidden_layers for options in drawn} == {1, 2}
    assert all(1e-3 <= options.learning_rate <= 0.32 for options in drawn)


def test_the_best_trial_is_taken_and_none_is_run_twice(
    root: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    laboratory = Laboratory(DriftingScenes(root, num_workers=0, batch_size=4), {"store": str(store)}, epochs=2)
    table = tmp_path / "trials.csv"
    best = search(laboratory, 3, 0, table)
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    scores = [float(row["val/map"]) for row in rows]
    assert best == Options.drawn(0, scores.index(max(scores)))
    content = table.read_text("utf-8")

    table.write_text(content[: content.rindex("\n", 0, -1) + 5], "utf-8")  # killed while it wrote the last line
    assert search(laboratory, 3, 0, table) == best
    assert [line.rsplit(",", 1)[0] for line in table.read_text("utf-8").splitlines()] == [
        line.rsplit(",", 1)[0] for line in content.splitlines()
    ]
    monkeypatch.setattr(Laboratory, "train", None)
    assert search(laboratory, 3, 0, table) == best
    with pytest.raises(UserError, match="another search"):
        search(laboratory, 3, 1, table)


def test_what_is_tuned_can_be_fitted_and_taken_apart(
    root: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--run_dir", str(tmp_path / "tuned"), "--trials", "2", "--epochs", "2"]
    assert main(["histograms", "tune", *words_of(root, store, *more)]) == 0
    config = tmp_path / "tuned/histograms.yaml"
    chosen = yaml.safe_load(config.read_text("utf-8"))
    assert chosen["checkpoint"]["monitor"] == "val/map"
    assert chosen["trainer"]["max_epochs"] == 2
    run = ["--run_dir", str(tmp_path / "fit"), "--trainer.logger", "false", "--trainer.enable_progress_bar", "false"]
    assert main(["fit", "--config", str(config), *run]) == 0
    capsys.readouterr()
    assert main(["histograms", "ablate", "--config", str(config), "--run_dir", str(tmp_path / "worth")]) == 0
    shown = (tmp_path / "worth/features.txt").read_text("utf-8")
    for name in NAMES:
        assert f"only {name}" in shown
        assert f"without {name}" in shown
        assert len(Ledger.read(tmp_path / f"worth/only-{name}")) == 4


def test_the_table_of_features_is_the_documents() -> None:
    from benchmark.histograms.features import FEATURES

    document = (Path(__file__).resolve().parents[2] / "docs/histograms.md").read_text("utf-8")
    for feature in FEATURES:
        row = f"| `{feature.name}` | {feature.bins:,} | {feature.cells} | {feature.dimensions:,} |"
        assert row in document


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["histograms"], "histograms needs one of features"),
        (["histograms", "tune", "--data", "SyntheticActions", "--config", "multires", "--run_dir", "x"], "no model of"),
        (["histograms", "tune", "--data", "SyntheticActions", "--run_dir", "x", "--trials", "0"], "--trials is 0"),
    ],
)
def test_slips_are_one_message(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert said in capsys.readouterr().err
