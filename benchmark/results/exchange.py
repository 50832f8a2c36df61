"""A record as others read it: the evaluation results of a Hugging Face model card, and `every-eval-ever` JSON."""

import re
import uuid
from typing import Any

import yaml

from benchmark.errors import UserError, printable
from benchmark.metrics.descriptors import says_nothing, score_of
from benchmark.results.record import Record
from benchmark.wording import counted

EVERY_EVAL_EVER = "0.3.0"
"""Version of the schema that `every_eval_ever` writes."""

# Names that the metrics of the Hub have.
_HUB_METRICS = {"video_hit1": "accuracy", "map": "mean_average_precision"}
_IDENTIFIER = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def require_identifier(identifier: str) -> str:
    """A model's name with that of whoever published it.

    Raises:
        UserError: If it is something else.
    """
    if not _IDENTIFIER.fullmatch(identifier):
        raise UserError(f"--id is {identifier}; give it as on the Hugging Face Hub, ORGANISATION/NAME")
    return identifier


def model_index(record: Record, name: str, num_classes: int | None = None) -> list[dict[str, Any]]:
    """The `model-index` of a model card: one result for each score that has a value.

    Args:
        record: Of a test.
        name: Of the model.
        num_classes: K, where it is known; Hit@k of no more than k classes is left out.
    """
    dataset = record.dataset
    config = "all" if dataset.fold is None else f"fold {dataset.fold}"
    classes = {} if dataset.classes is None else {"classes": list(dataset.classes)}
    about = {
        "type": re.sub(r"[^a-z0-9]+", "-", dataset.name.lower()).strip("-"),
        "name": dataset.name,
        "config": config,
        "split": "test",
        "args": {"fingerprint": dataset.fingerprint, "protocol": record.protocol_value.hash, **classes},
    }
    metrics = []
    for key, value in record.metrics.items():
        if value.value is not None and not says_nothing(key, num_classes):
            interval = {} if value.low is None else {"low": value.low, "high": value.high, "level": 0.95}
            metrics.append({"type": _HUB_METRICS.get(key, key), "name": score_of(key).title, "value": value.value})
            metrics[-1] |= {"args": interval} if interval else {}
    task = {"type": "video-classification", "name": "Video Classification"}
    return [{"name": name, "results": [{"task": task, "dataset": about, "metrics": metrics}]}]


def model_card(record: Record, name: str, license_name: str | None = None, num_classes: int | None = None) -> str:
    """A model card in Markdown: metadata with the evaluation results, then the same for people.

    Args:
        record: Of a test.
        name: Of the model.
        license_name: Of its weights, as the Hub spells it.
        num_classes: K, where it is known; Hit@k of no more than k classes is left out.
    """
    data: dict[str, Any] = {} if license_name is None else {"license": license_name}
    data |= {
        "library_name": "clipbench",
        "pipeline_tag": "video-classification",
        "tags": ["video-classification", "clipbench"],
        "model-index": model_index(record, name, num_classes),
    }
    front = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    rows = []
    for key, value in record.metrics.items():
        if value.value is not None and not says_nothing(key, num_classes):
            low, high = (None if end is None else score_of(key).text(end) for end in (value.low, value.high))
            rows.append(
                f"| {score_of(key).title} | {score_of(key).text(value.value)} | {f'{low} to {high}' if low else '-'} |"
            )
    dataset, protocol = record.dataset, record.protocol_value
    fold = "" if dataset.fold is None else f", fold {dataset.fold}"
    classes = "" if dataset.classes is None else f", {len(dataset.classes)} of its classes"
    seen = {
        "clean": "The weights saw no test video, and none of its source.",
        "contaminated": "**The weights saw test videos.**",
        "unknown": "Nobody can tell which videos the weights saw.",
    }[record.checkpoint.provenance]
    lines = [
        f"# {_plain(name)}",
        f"{_plain(record.name)}: a video classifier with {record.model.parameters:,} parameters, tested by clipbench "
        f"{_plain(record.code.version)}.",
        f"On {_plain(dataset.name)}{fold}{classes}: {counted(record.videos, 'test video')}, of which "
        f"{len(record.failed_videos):,} could not be read and count as wrong; "
        f"{counted(protocol.clips_per_video, 'clip')} a video, {counted(len(protocol.views), 'view')} a clip. {seen}",
        "| score | value | 95% interval |\n|---|---|---|\n" + "\n".join(rows),
        f"Protocol `{protocol.hash}`, checkpoint sha256 `{record.checkpoint.sha256}`, ledger sha256 "
        f"`{record.ledger.sha256}`: `python -m benchmark rescore` works each number out again from the ledger.",
    ]
    return f"---\n{front}---\n\n" + "\n\n".join(lines) + "\n"


def every_eval_ever(record: Record, identifier: str, organisation: str) -> dict[str, Any]:
    """A record in the schema of Every Eval Ever.

    Args:
        record: Of a test.
        identifier: Of the model, `ORGANISATION/NAME`.
        organisation: Who tested it.
    """
    moment = str(int(record.created.timestamp()))
    dataset, protocol = record.dataset, record.protocol_value
    source = {
        "dataset_name": dataset.name,
        "source_type": "other",
        "additional_details": {
            "fold": str(dataset.fold or "none"),
            "classes": "all" if dataset.classes is None else ", ".join(dataset.classes),
            "fingerprint": dataset.fingerprint,
            "videos": str(record.videos),
            "failed_videos": str(len(record.failed_videos)),
        },
    }
    results = []
    for key, value in record.metrics.items():
        if value.value is None:
            continue
        details: dict[str, Any] = {"score": value.value}
        if value.low is not None and value.high is not None:
            interval = {"lower": value.low, "upper": value.high, "confidence_level": 0.95, "method": record.intervals}
            details["uncertainty"] = {"confidence_interval": interval, "num_samples": record.videos}
        results.append(
            {
                "evaluation_result_id": f"{record.ledger.sha256[:16]}/{key}",
                "evaluation_name": f"{dataset.name} {score_of(key).title}",
                "source_data": source,
                "metric_config": {
                    "evaluation_description": score_of(key).title,
                    "metric_id": f"clipbench.{key}",
                    "metric_name": score_of(key).title,
                    "metric_unit": "proportion",
                    "lower_is_better": not score_of(key).higher_is_better,
                    "score_type": "continuous",
                    "min_score": 0.0,
                    "max_score": 1.0,
                },
                "score_details": details,
            }
        )
    return {
        "schema_version": EVERY_EVAL_EVER,
        "evaluation_id": f"{dataset.name}/{identifier}/{moment}",
        "evaluation_timestamp": record.created.isoformat(),
        "retrieved_timestamp": moment,
        "source_metadata": {
            "source_name": "clipbench",
            "source_type": "evaluation_run",
            "source_organization_name": organisation,
            "evaluator_relationship": "first_party" if organisation == identifier.partition("/")[0] else "other",
        },
        "eval_library": {
            "name": "clipbench",
            "version": record.code.version,
            "additional_details": {
                "commit": record.code.commit or "unknown",
                "protocol": protocol.hash,
                "clips_per_video": str(protocol.clips_per_video),
                "views": ", ".join(protocol.views),
                "intervals": record.intervals,
            },
        },
        "model_info": {
            "name": record.name,
            "id": identifier,
            "developer": identifier.partition("/")[0],
            "additional_details": {
                "deployment_type": "self_deployed",
                "model_availability": "unknown",
                "class_path": record.model.class_path,
                "parameters": str(record.model.parameters),
                "checkpoint_sha256": record.checkpoint.sha256,
                "provenance": record.checkpoint.provenance,
            },
        },
        "evaluation_results": results,
    }


def every_eval_ever_path(record: Record, identifier: str) -> str:
    """Where such a file belongs, below the folder of a datastore; the same for the same ledger."""
    name = uuid.UUID(record.ledger.sha256[:32], version=4)
    collection = re.sub(r"[^\w.-]+", "-", record.dataset.name).strip("-.") or "clipbench"
    return f"data/{collection}/{identifier}/{name}.json"


def _plain(text: str) -> str:
    """A name from a file of anyone's, with nothing that Markdown obeys."""
    return re.sub(r"([\\`*_{}\[\]<>|#!])", r"\\\1", printable(text))
