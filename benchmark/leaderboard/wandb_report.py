"""A W&B report made from the boards: its specification on disk without a login, the report itself with one.

A set of runs names its project by a number that only the server knows, so on disk it has none yet, and
`run_sets_to_look_up` says which project belongs to which set. Publishing builds the report from the boards again.
"""

import json
import math
import re
import shlex
from collections.abc import Sequence
from typing import Any

import wandb
from wandb_workspaces.reports.v2 import interface as wr  # the package above it re-exports these without types

from benchmark.errors import UserError
from benchmark.leaderboard.board import Board
from benchmark.leaderboard.board_tables import RANKS, SUBMITTED, added_names, board_table, claims, group_table, groups
from benchmark.metrics.descriptors import score_of
from benchmark.results import wandb_names

TITLE = "clipbench leaderboards"
DESCRIPTION = "Video classifiers under one protocol, made from records and ledgers by `python -m benchmark report`."

_FORMAT = 1
_TRIES, _TRY_SECONDS, _PAUSE_SECONDS = 3, 10.0, 1.0
_NAME = re.compile(r"[^/\\#?%:,<>\"'\s]{1,128}")
_INTRODUCTION = (
    f"Only rows of one table are ranked together: protocol, dataset, fold and class subset are equal. {RANKS} "
    "Tables come from the leaderboards' records; the panels below each show the runs of this project that belong to "
    "the same board. Claimed rows are what somebody says; recomputed ones follow from their predictions; reproduced "
    "ones were scored again from the videos; audited ones where the network could not know which videos those were. "
    f"{SUBMITTED}"
)


def check_names(entity: str, project: str) -> None:
    """See that W&B could have an entity and a project of these names.

    Raises:
        UserError: If not.
    """
    for option, name in (("entity", entity), ("project", project)):
        if not _NAME.fullmatch(name):
            raise UserError(
                f"--{option} is {name!r}; it must be 1 to 128 signs without spaces, quotes and / \\ # ? % : , < >"
            )


def specification(boards: Sequence[Board], entity: str, project: str) -> dict[str, Any]:
    """The report as plain values, worked out without a login.

    Args:
        boards: What to show.
        entity: W&B user or team.
        project: Its project that holds the runs.

    Returns:
        `entity`, `project`, `title`, `description`; `spec` as W&B stores a report; `run_sets_to_look_up`, for each set
        of runs its block and place there and its project, whose number is to be filled in.
    """
    report = _report(entity, project, _blocks(boards, "", ""))
    model: Any = report._to_model()  # type: ignore[no-untyped-call]  # the library has no public way without saving
    spec = json.loads(model.spec.model_dump_json(by_alias=True, exclude_none=True))
    waiting = [
        {"block": block, "run_set": place, "name": run_set["name"], "entity": entity, "project": project}
        for block, content in enumerate(spec["blocks"])
        if content["type"] == "panel-grid"
        for place, run_set in enumerate(content["metadata"]["runSets"])
    ]
    return {
        "format": _FORMAT,
        "entity": entity,
        "project": project,
        "title": model.display_name,
        "description": model.description,
        "run_sets_to_look_up": waiting,
        "spec": spec,
    }


def connect() -> wandb.Api | None:
    """W&B's interface, or None without a login; on a terminal wandb asks for one.

    Raises:
        UserError: If the login is refused, or the server cannot be reached.
    """
    try:
        # wandb's service must give up before we do: at the end of the process it is waited for, however long it tries.
        wandb.setup(
            wandb.Settings(
                x_graphql_retry_max=_TRIES - 1,
                x_graphql_retry_wait_min_seconds=_PAUSE_SECONDS,
                x_graphql_retry_wait_max_seconds=_PAUSE_SECONDS,
                x_graphql_timeout_seconds=_TRY_SECONDS,
            )
        )
        return wandb.Api(timeout=math.ceil(_TRIES * (_TRY_SECONDS + _PAUSE_SECONDS)) + 5)
    except wandb.errors.UsageError:
        return None
    except Exception as error:  # wandb's own errors, its service's and the network's share no base class
        raise UserError(
            f"W&B did not take the login ({_first_line(error)}); see that the network is there, or run: "
            "wandb login --relogin"
        ) from error


def publish(api: wandb.Api, boards: Sequence[Board], entity: str, project: str) -> str:
    """Save a new report and return its address.

    Args:
        api: W&B's interface.
        boards: What to show.
        entity: W&B user or team.
        project: Its project that holds the runs.

    Raises:
        UserError: If the project does not exist, the network fails or W&B refuses.
    """
    report = _report(entity, project, _blocks(boards, entity, project))
    try:
        # Saving would make a missing project, in which no run could be seen.
        if project in {held.name for held in api.projects(entity)}:
            report.save()
            return str(report.url)
    except Exception as error:  # as above
        raise UserError(
            f"W&B did not take the report for {entity}/{project} ({_first_line(error)}); "
            "see that the network is there, `wandb login` is up to date and the project may be written to"
        ) from error
    raise UserError(
        f"--project is {project}, but {entity} has no such project on W&B that this login sees; sync the runs first: "
        f"{sync_command(entity, project)}"
    )


def sync_command(entity: str, project: str) -> str:
    """The command that brings offline runs to W&B."""
    return f"wandb sync --entity {shlex.quote(entity)} --project {shlex.quote(project)} runs/*/wandb/offline-run-*"


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__


def _report(entity: str, project: str, blocks: list[Any]) -> wr.Report:
    return wr.Report(entity=entity, project=project, title=TITLE, description=DESCRIPTION, width="fluid", blocks=blocks)


def _blocks(boards: Sequence[Board], entity: str, project: str) -> list[Any]:
    """The report's contents; with an empty entity and project the sets of runs are looked up nowhere."""
    blocks: list[Any] = [wr.P(_INTRODUCTION), wr.TableOfContents()]
    for board in boards:
        blocks += [
            wr.H2(board.title),
            wr.P(f"Protocol: {board.protocol}"),
            wr.MarkdownBlock(board_table(board).markdown()),
        ]
        if board.identity.classes is not None:
            blocks.append(wr.P(f"A subset of the dataset: {', '.join(board.identity.classes)}"))
        by_group = group_table(board)
        if by_group is not None:
            blocks += [wr.H3("Mean average precision by group"), wr.MarkdownBlock(by_group.markdown())]
        claimed = claims(board.rows)
        if claimed:
            blocks += [wr.P("Claimed, and not checked here:"), wr.UnorderedList([*claimed])]
        if board.protocol_hash is not None:
            blocks.append(_panels(board, board.protocol_hash, entity, project))
    return blocks


def _panels(board: Board, protocol_hash: str, entity: str, project: str) -> wr.PanelGrid:
    key = wandb_names.board_key(board.identity, protocol_hash)
    accuracy = wr.SummaryMetric(f"{wandb_names.METRIC_PREFIX}video_hit1")
    by_group: list[Any] = [wr.SummaryMetric(f"{wandb_names.METRIC_PREFIX}map/{name}") for name in groups(board)]
    fields = {"Actual": "true", "Predicted": "predicted", "nPredictions": "count"}
    panels: list[Any] = [
        wr.ScatterPlot(
            title="video Hit@1 against clips/s",
            x=wr.SummaryMetric(wandb_names.CLIPS_PER_SECOND),
            y=accuracy,
            log_x=True,
            range_y=(0, 1),
            layout=wr.Layout(0, 0, 12, 8),
        ),
        wr.BarPlot(title="video Hit@1", metrics=[accuracy], range_x=(0, 1), layout=wr.Layout(12, 0, 12, 8)),
        wr.CustomChart(
            query={"summaryTable": {"tableKey": f"{wandb_names.CONFUSION}_table"}},
            chart_name="wandb/confusion_matrix/v1",
            chart_fields=fields,
            layout=wr.Layout(0, 16, 24, 12),
        ),
        wr.WeavePanelSummaryTable(table_name=wandb_names.CLASS_AP, layout=wr.Layout(0, 28, 12, 12)),
        wr.WeavePanelSummaryTable(table_name=wandb_names.PREDICTIONS, layout=wr.Layout(12, 28, 12, 12)),
    ]
    for place, name in enumerate(added_names([board])):
        metric: Any = wr.SummaryMetric(wandb_names.METRIC_PREFIX + name)
        layout = wr.Layout(12 * (place % 2), 40 + 8 * (place // 2), 12, 8)
        panels.append(wr.BarPlot(title=score_of(name).title, metrics=[metric], range_x=(0, 1), layout=layout))
    if by_group:
        panels.append(wr.BarPlot(title="mAP by group", metrics=by_group, range_x=(0, 1), layout=wr.Layout(0, 8, 24, 8)))
    runs = wr.Runset(
        entity=entity,
        project=project,
        name=board.title,
        filters=f'Config("{wandb_names.BOARD}") = "{key}"',
        order=[wr.OrderBy(accuracy, ascending=False)],
    )
    return wr.PanelGrid(runsets=[runs], panels=panels)
