import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

pytest.importorskip("skimage", reason="needs skimage, of the extra histograms")

from benchmark.cli import main
from benchmark.data import Identity, VideoDataModule, VideoIndex
from benchmark.errors import UserError
from benchmark.histograms.claim import claim, made_of
from benchmark.histograms.features import NAMES
from benchmark.histograms.search import Laboratory, Options, search
from benchmark.results.ledger import Ledger
from tests.generators.paper_cells import ledger_of
from tests.histograms.test_whole_videos import DriftingScenes
from tests.histograms.test_whole_videos import few_descriptors as few_descriptors
from tests.histograms.test_whole_videos import root as root
from tests.histograms.test_whole_videos import store as store


class FewVideos(VideoDataModule):
    """Names of videos that nobody reads."""

    def __init__(self, root: Path, videos: int = 4, **shared: object) -> None:
        super().__init__(root, **shared)  # type: ignore[arg-type]
        self.videos = videos

    def read_index(self) -> VideoIndex:
        names = [f"video{number}" for number in range(self.videos)]
        splits = ["train", "validation", "test"]
        return VideoIndex.from_columns(
            Identity("few"),
            Path(str(self.root)),
            ("dark", "light"),
            video_id=names,
            path=[f"{name}.avi" for name in names],
            labels=[[number % 2] for number in range(self.videos)],
            split=[splits[number % 3] for number in range(self.videos)],  # type: ignore[misc]
        )


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


@pytest.mark.parametrize(
    ("more", "differs"),
    [
        (["--epochs", "3"], "epochs was 2 and is 3 now"),
        (["--seed", "1"], "seed was 0 and is 1 now"),
        (["--stride", "2"], "model.stride was None and is 2 now"),
        (["--data.seed", "4"], "data.seed was 0 and is 4 now"),
        (["--data.videos", "5"], "data.videos was 4 and is 5 now"),
    ],
)
@pytest.mark.parametrize("verb", ["tune", "ablate"])
def test_results_of_another_call_are_not_taken_for_its_own(
    verb: str, more: list[str], differs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    trained: list[str] = []

    class Counting:
        """Trains nothing, and counts."""

        def __init__(self, data: FewVideos, init_args: dict[str, Any], epochs: int, seed: int) -> None:
            assert (tmp_path / f"worth/{verb}.json").is_file()  # before the first network
            self.data, self.init_args = data, init_args

        def train(self, init_args: dict[str, Any]) -> Any:
            trained.append(str(init_args))
            values = {"val/map": 0.5, "val/video_hit1": 0.5}
            return SimpleNamespace(values=values, epoch=1, seconds=1.0, network=None)

        def tested(self, network: None) -> Ledger:
            return ledger_of(1, 0.8, 0)

    monkeypatch.setattr("benchmark.histograms.search.Laboratory", Counting)
    begun = ["histograms", verb, "--data", "tests.histograms.test_search.FewVideos", "--data.root", str(tmp_path)]
    begun += ["--run_dir", str(tmp_path / "worth"), "--epochs", "2"]
    begun += ["--trials", "3"] if verb == "tune" else []
    assert main(begun) == 0
    count = len(trained)
    assert count == (3 if verb == "tune" else 1 + 2 * len(NAMES))
    assert main([*begun, "--data.num_workers", "1"]) == 0  # where and how fast is no other search
    assert len(trained) == count
    capsys.readouterr()
    assert main([*begun, *more]) == 2
    assert f"holds results that were made otherwise: {differs}. Name another folder" in capsys.readouterr().err
    assert len(trained) == count
    (tmp_path / f"worth/{verb}.json").unlink()  # as before it was written
    assert main(begun) == 2
    assert f"holds results without {verb}.json" in capsys.readouterr().err


def test_videos_that_came_since_are_another_search(tmp_path: Path) -> None:
    file = tmp_path / "tune.json"

    def facts(videos: int) -> dict[str, Any]:
        data = {"class_path": "FewVideos", "init_args": {"root": str(tmp_path)}}
        return made_of(FewVideos(tmp_path, videos).index, data=data, model={"store": "x"}, epochs=1, seed=0)

    claim(file, facts(4), begun=False)
    claim(file, facts(4), begun=True)
    with pytest.raises(UserError, match=r"the fingerprint of the videos held was [0-9a-f]{16} and is [0-9a-f]{16} now"):
        claim(file, facts(5), begun=True)
    claim(file, facts(5), begun=False)  # nothing was trained
    claim(file, facts(5), begun=True)
    file.write_text("[]", "utf-8")
    with pytest.raises(UserError, match="is damaged"):
        claim(file, facts(5), begun=True)


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
