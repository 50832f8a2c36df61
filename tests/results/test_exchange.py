"""What others read of a record, checked with what they check it with."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.cli import main
from benchmark.errors import UserError
from benchmark.results.exchange import every_eval_ever_path, model_card, require_identifier
from benchmark.results.record import Record

SCHEMA = Path(__file__).with_name("every_eval_ever.schema.json")  # of every-eval-ever 0.3.0, under the MIT licence


@pytest.fixture(scope="module")
def record(tested: Path) -> Record:
    """A test's."""
    return Record.read(tested)


def test_the_hub_reads_every_score_from_the_card(record: Record, tested: Path, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="needs huggingface_hub, of the extra test")
    written = tmp_path / "README.md"
    words = ["--name", "mine", "--license", "apache-2.0", "--output", str(written)]
    assert main(["model_card", str(tested), *words]) == 0
    card = hub.ModelCard.load(written)
    assert (card.data.license, card.data.pipeline_tag, card.data.model_name) == (
        *("apache-2.0", "video-classification"),
        "mine",
    )
    held = {name: value for name, value in record.metrics.items() if value.value is not None}
    assert len(card.data.eval_results) == len(held)
    for result, (name, value) in zip(card.data.eval_results, held.items(), strict=True):
        assert isinstance(result, hub.EvalResult)
        assert result.metric_value == value.value
        assert result.metric_type == {"video_hit1": "accuracy", "map": "mean_average_precision"}.get(name, name)
        assert result.dataset_name == record.dataset.name
        assert result.dataset_config == "fold 1"
        assert result.metric_args == {"low": value.low, "high": value.high, "level": 0.95}
    # What the Hub writes of it again is the same.
    assert hub.ModelCard(str(card)).data.to_dict() == card.data.to_dict()


def test_names_of_strangers_do_no_harm_in_a_card(record: Record) -> None:
    shown = model_card(record, "<script>x</script> [a](javascript:b) | `c`")
    body = shown.partition("\n---\n")[2]
    assert "<script>" not in body.replace("\\<", "")
    assert "[a](" not in body


def test_every_eval_ever_is_as_the_schema_says(record: Record, tested: Path, tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="needs jsonschema, of the extra test")
    assert main(["every_eval_ever", str(tested), "--id", "me/mine", "--datastore", str(tmp_path)]) == 0
    place = tmp_path / every_eval_ever_path(record, "me/mine")
    content = json.loads(place.read_text("utf-8"))
    schema = json.loads(SCHEMA.read_text("utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.Draft7Validator(schema).validate(content)
    assert content["schema_version"] == schema["version"]
    scores = {
        each["metric_config"]["metric_id"]: each["score_details"]["score"] for each in content["evaluation_results"]
    }
    assert scores == {f"clipbench.{name}": v.value for name, v in record.metrics.items() if v.value is not None}
    lower = {each["metric_config"]["metric_id"] for each in content["evaluation_results"]
             if each["metric_config"]["lower_is_better"]}  # fmt: skip
    assert lower == {"clipbench.ece"}
    del content["model_info"]["id"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate(content)


def test_its_own_validator_agrees(tested: Path, tmp_path: Path) -> None:
    pytest.importorskip("every_eval_ever", reason="pip install every-eval-ever, which needs Python 3.12 and is large")
    assert main(["every_eval_ever", str(tested), "--id", "me/mine", "--datastore", str(tmp_path)]) == 0
    (place,) = tmp_path.rglob("*.json")
    command = [sys.executable, "-m", "every_eval_ever", "validate", str(place.relative_to(tmp_path))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("identifier", ["mine", "me/", "/mine", "me/../x", "me/a/b", "me/mine\n"])
def test_an_identifier_that_is_none_is_refused(identifier: str) -> None:
    with pytest.raises(UserError, match="give it as on the Hugging Face Hub, ORGANISATION/NAME"):
        require_identifier(identifier)
