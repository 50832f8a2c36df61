import json

import pytest

from benchmark.cli import main
from benchmark.models import SlowFusion


@pytest.mark.filterwarnings("ignore")
def test_networks_are_listed_with_what_they_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["SlowFusion", str(len(SlowFusion.frame_offsets)), "of", "16", "170"] in lines
    assert main(["models", "--json"]) == 0
    held = json.loads(capsys.readouterr().out)
    assert held["SlowFusion"]["side"] == "170"
    assert held["SlowFusion"]["what"]
