"""Parts of the verbs fit, validate, test and predict that need no run."""

import inspect
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from benchmark.data import VideoDataModule
from benchmark.training_cli import unlabelled

namespace: Any = Namespace  # has no types


def test_videos_named_on_the_command_line_are_read_with_all_options_of_the_data() -> None:
    shared = [name for name in inspect.signature(VideoDataModule).parameters if name != "root"]
    given: dict[str, Any] = {name: f"value of {name}" for name in shared}
    assert "clip_seconds" in given
    data = namespace(class_path="SyntheticActions", init_args=namespace(**given, root=Path("here"), fold=2))
    found = unlabelled(data, [Path("a.mp4")], ["dark", "light"])
    expected = {"videos": [Path("a.mp4")], "class_names": ["dark", "light"], **given}
    assert found == namespace(class_path="benchmark.data.files.VideoFiles", init_args=namespace(**expected))
    without = unlabelled(namespace(class_path="Own"), [Path("a.mp4")], ["dark", "light"])
    assert set(vars(without.init_args)) == {"videos", "class_names"}
