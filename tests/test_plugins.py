"""Classes and verbs of other packages, and classes of the user's own files, from end to end."""

import os
from pathlib import Path

import pytest
import yaml

from benchmark.data import VideoDataModule
from benchmark.errors import UserError
from benchmark.models import SingleFrame, VideoClassifier
from benchmark.plugins import load_class, usable_subclasses
from tests.generators.forked import forked, install

ROOT = Path(__file__).resolve().parents[1]
CONF = str(ROOT / "conf/single_frame.yaml")
SHOW = ("fit", "--config", CONF, "--print_config")
MODEL = """
from benchmark.models import SingleFrame
class {name}(SingleFrame):
    pass
"""
EVERYTHING = """
import pathlib
import lightning
from benchmark.metrics import Score
from benchmark.data import SyntheticActions
from benchmark.models import SingleFrame
with pathlib.Path("imported.txt").open("a") as file:
    file.write("once\\n")
class AddedModel(SingleFrame):
    pass
class AddedData(SyntheticActions):
    pass
ADDED = Score("added", "added score", "added", counts=lambda known: (known.labels.sum(1), known.labels.sum(1)))
class AddedCallback(lightning.Callback):
    def __init__(self, often: int = 3) -> None:
        self.often = often
"""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of packages."""
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


def test_classes_of_a_plugin_have_short_names(tmp_path: Path, site: Path) -> None:
    install(site, "everything", EVERYTHING)
    names = ("--model", "AddedModel", "--data", "AddedData", "--trainer.callbacks", "AddedCallback")
    code, out, err = forked(tmp_path, *SHOW, *names, path=site)
    assert code == 0, err
    config = yaml.safe_load(out)
    assert config["model"]["class_path"] == "everything.AddedModel"
    assert config["data"]["class_path"] == "everything.AddedData"
    assert config["trainer"]["callbacks"] == {"class_path": "everything.AddedCallback", "init_args": {"often": 3}}
    assert (tmp_path / "imported.txt").read_text("utf-8") == "once\n"


def test_the_verb_plugins_lists_what_is_there(tmp_path: Path, site: Path) -> None:
    install(site, "everything", EVERYTHING)
    install(site, "broken", "import no_such_module\n", version="0.3")
    install(site, "shouting", 'SUMMARY = "shouts"\ndef main(argv):\n    print("AH")\n    return 3\n', entry="shout")
    code, out, _ = forked(tmp_path, "plugins", "--costs", "false", path=site)
    assert code == 1
    lines = {" ".join(line.split()) for line in out.splitlines()}
    assert {
        *(
            "AddedModel everything 1.2 1 of 16 170",
            "SlowFusion clipbench 0.2.0 10 of 16 170",
            "AddedData everything 1.2",
        ),
        *("added added score everything 1.2", "AddedCallback everything 1.2", "shout shouting 1.2"),
        "ece calibration error (ECE) clipbench 0.2.0",
    } <= lines
    error = f"ModuleNotFoundError: No module named 'no_such_module' ({site}/broken.py, line 1)"
    assert f"broken: broken of broken 0.3: {error}" in lines
    assert not {"VideoClassifier", "LibraryNetwork", "SumMetric"} & {line.partition(" ")[0] for line in lines}
    assert forked(tmp_path, "shout", path=site)[:2] == (3, "AH\n")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def f(:\n", "SyntaxError"),
        ("raise SystemExit('stopped')\n", "SystemExit: stopped"),
        ("raise ValueError('two\\nlines \\x1b[31m')\n", "ValueError: two lines ?[31m"),
        # What it made before it broke must not stand in the way of the built-in class.
        (MODEL.format(name="SingleFrame_").replace("SingleFrame_", "LateFusion") + "1 / 0\n", "ZeroDivisionError"),
    ],
    ids=["import", "syntax", "exit", "escapes", "late"],
)
def test_a_broken_plugin_is_named_and_the_rest_works(code: str, error: str, tmp_path: Path, site: Path) -> None:
    install(site, "broken", code)
    install(site, "sound", MODEL.format(name="AddedModel"))
    status, out, err = forked(tmp_path, *SHOW, "--model", "AddedModel", path=site)
    assert status == 0, err
    assert "class_path: sound.AddedModel" in out
    (line,) = [line for line in err.splitlines() if "broken" in line]
    assert line.startswith(f"clipbench: plugin broken of broken 1.2 is left out: {error}")
    if error == "ZeroDivisionError":
        status, out, err = forked(tmp_path, *SHOW, "--model", "LateFusion", path=site)
        assert "class_path: benchmark.models.LateFusion" in out, err


def test_a_malformed_entry_point_is_named_and_the_rest_works(tmp_path: Path, site: Path) -> None:
    install(site, "broken", "", module="my-net")
    install(site, "sound", MODEL.format(name="AddedModel"))
    status, out, err = forked(tmp_path, *SHOW, "--model", "AddedModel", path=site)
    assert status == 0, err
    assert "class_path: sound.AddedModel" in out
    assert "clipbench: plugin broken of broken 1.2 is left out: " in err


@pytest.mark.parametrize(
    "code", ["def f(:\n", "raise ValueError('no')\n", "unknown\n"], ids=["syntax", "value", "name"]
)
def test_nothing_is_left_of_a_package_that_breaks_behind_its_first_module(
    code: str, tmp_path: Path, site: Path
) -> None:
    install(site, "broken", "")
    (site / "broken.py").unlink()
    files = {
        "__init__": "from broken import model, second\n",
        "model": MODEL.format(name="BrokenModel"),
        "second": code,
    }
    for name, text in files.items():
        (site / "broken").mkdir(exist_ok=True)
        (site / f"broken/{name}.py").write_text(text, "utf-8")
    status, out, err = forked(tmp_path, *SHOW, "--model", "LateFusion", path=site)
    assert status == 0, err
    assert "class_path: benchmark.models.LateFusion" in out
    assert "plugin broken of broken 1.2 is left out" in err


def test_nothing_is_left_of_another_package_that_breaks(tmp_path: Path, site: Path) -> None:
    install(site, "shim", "import real\n")
    (site / "real").mkdir()
    (site / "real/__init__.py").write_text("from real import model\n1 / 0\n", "utf-8")
    (site / "real/model.py").write_text(MODEL.format(name="BrokenModel"), "utf-8")
    status, out, err = forked(tmp_path, *SHOW, "--model", "LateFusion", path=site)
    assert status == 0, err
    assert "class_path: benchmark.models.LateFusion" in out


def test_origins_are_of_the_package_that_adds_a_class(tmp_path: Path, site: Path) -> None:
    install(site, "first", MODEL.format(name="FirstModel"), module="shared.first")
    install(site, "second", "import shared.first\n" + MODEL.format(name="SecondModel"), module="shared.second")
    install(site, "broken", MODEL.format(name="BrokenModel") + "1 / 0\n", module="shared.broken")
    # Loaded before the first, on which it builds, and names a class that is written elsewhere.
    install(site, "a_shim", "import shared.first\nfrom written_elsewhere import ShownModel\n")
    (site / "written_elsewhere.py").write_text(MODEL.format(name="ShownModel"), "utf-8")
    install(site, "shout_model", MODEL.format(name="ShoutModel"), entry="shout")
    install(site, "a_shout", 'SUMMARY = "shouts"\ndef main(argv):\n    return 3\n', entry="shout")
    code, out, err = forked(tmp_path, "plugins", "--costs", "false", path=site)
    assert code == 1, err
    lines = {" ".join(line.split()) for line in out.splitlines()}
    models = ("FirstModel first", "SecondModel second", "ShownModel a_shim", "ShoutModel shout_model")
    assert {*(f"{model} 1.2 1 of 16 170" for model in models), "shout a_shout 1.2"} <= lines
    assert "BrokenModel" not in out


def test_two_classes_of_one_name_are_refused_where_one_is_written_elsewhere(tmp_path: Path, site: Path) -> None:
    install(site, "first", "from written_elsewhere import AddedModel\n")
    (site / "written_elsewhere.py").write_text(MODEL.format(name="AddedModel"), "utf-8")
    install(site, "second", MODEL.format(name="AddedModel"))
    code, _, err = forked(tmp_path, "plugins", path=site)
    assert code == 2
    assert "two classes are called AddedModel: in" in err
    assert all(place in err for place in ("second of second 1.2", "written_elsewhere of first 1.2"))


def test_a_file_whose_class_has_a_built_in_name_is_refused(tmp_path: Path, site: Path) -> None:
    (tmp_path / "my_slow.py").write_text(
        "from benchmark import models\nclass SlowFusion(models.SlowFusion):\n    pass\n", "utf-8"
    )
    for words in ((*SHOW, "--model", "my_slow.SlowFusion"), ("check", "my_slow.SlowFusion")):
        status, _, err = forked(tmp_path, *words, path=site)
        assert status == 2
        assert "my_slow.SlowFusion has the name of benchmark.models.slow_fusion.SlowFusion; rename the class" in err
        assert "Traceback" not in err


@pytest.mark.parametrize(
    ("names", "places"),
    [
        (["AddedModel", "AddedModel"], ["first of first 1.2", "second of second 1.2"]),
        (["SlowFusion"], ["benchmark.models.slow_fusion of clipbench", "first of first 1.2"]),
    ],
    ids=["two plugins", "built-in"],
)
def test_two_classes_of_one_name_are_refused(names: list[str], places: list[str], tmp_path: Path, site: Path) -> None:
    for package, name in zip(["first", "second"], names, strict=False):
        install(site, package, MODEL.format(name=name))
    code, _, err = forked(tmp_path, "plugins", path=site)
    assert code == 2
    assert f"two classes are called {names[0]}: in" in err
    assert all(place in err for place in places)
    assert "Traceback" not in err


def test_a_callback_named_like_one_of_lightning_is_refused(tmp_path: Path, site: Path) -> None:
    install(site, "first", "import lightning\nclass EarlyStopping(lightning.Callback):\n    pass\n")
    code, _, err = forked(tmp_path, "plugins", path=site)
    assert code == 2
    assert "two classes are called EarlyStopping: in lightning and in first of first 1.2" in err


@pytest.mark.parametrize("verb", ["fit", "compare"])
def test_a_verb_that_is_there_is_refused(verb: str, tmp_path: Path, site: Path) -> None:
    install(site, "other", 'SUMMARY = "x"\ndef main(argv):\n    return 0\n', entry=verb)
    code, _, err = forked(tmp_path, "--help", path=site)
    assert code == 2
    assert f"two verbs are called {verb}: of clipbench 0.2.0 and of other 1.2" in err


FILES = {
    "sound.py": MODEL.format(name="Mine"),
    "broken.py": "import no_such_module\n",
    "crooked.py": "class Mine(:\n",
    "other.py": "class Mine:\n    pass\nnumber = 3\n",
}


@pytest.mark.parametrize(
    ("class_path", "message"),
    [
        ("sound.Mine", ""),
        (
            "broken.Mine",
            "broken.Mine: broken cannot be imported: ModuleNotFoundError: No module named 'no_such_module'",
        ),
        ("crooked.Mine", "crooked.Mine: crooked cannot be imported: SyntaxError"),
        ("absent.Mine", "absent.Mine: there is no module absent in"),
        ("sound.Yours", "has no Yours; it has Mine"),
        ("other.Mine", "other.Mine is no VideoClassifier; derive it from benchmark.models.video_classifier"),
        ("other.number", "other.number is no VideoClassifier"),
    ],
)
@pytest.mark.parametrize("way", ["option", "file"])
def test_a_loose_file(class_path: str, message: str, way: str, tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    words = [*SHOW, "--model", class_path]
    if way == "file":
        config = yaml.safe_load(Path(CONF).read_text("utf-8"))
        config["model"]["class_path"] = class_path
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config), "utf-8")
        words = ["fit", "--config", "mine.yaml", "--print_config"]
    code, out, err = forked(tmp_path, *words)
    assert "Traceback" not in err
    if message:
        assert code == 2
        assert message in err
        assert len(err.splitlines()) == 1
    else:
        assert code == 0, err
        assert "class_path: sound.Mine" in out


def test_a_class_by_its_short_name() -> None:
    assert load_class("SingleFrame", VideoClassifier) is SingleFrame
    with pytest.raises(UserError, match=r"there is no VideoClassifier called 'Singel'; did you mean SingleFrame"):
        load_class("Singel", VideoClassifier)
    assert VideoDataModule not in usable_subclasses(VideoDataModule)


@pytest.mark.parametrize("path", ["builtins.eval", "os.system", "torch.nn.Linear", "os.path"])
def test_what_makes_no_network_is_refused(path: str) -> None:
    with pytest.raises(UserError, match=f"{path} is no VideoClassifier; derive it from"):
        load_class(path, VideoClassifier)
