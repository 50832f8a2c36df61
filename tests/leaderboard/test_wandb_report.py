"""What a W&B report says, by the real wandb-workspaces classes; publishing against a stub of W&B's server."""

import dataclasses
import itertools
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("wandb_workspaces", reason="needs the extra wandb")

import wandb
from markdown_it import MarkdownIt
from wandb_workspaces.reports.v2 import internal

from benchmark.errors import UserError
from benchmark.identity import Identity
from benchmark.leaderboard import wandb_report
from benchmark.leaderboard.board import Board
from benchmark.leaderboard.board_tables import board_table, claims, group_table
from benchmark.leaderboard.report_preview import preview
from benchmark.leaderboard.wandb_report import check_names, connect, publish, specification
from benchmark.pages.tables import escape
from benchmark.results.record import Value
from benchmark.results.wandb_names import board_key
from tests.generators.ledgers import make_ledger, make_record
from tests.generators.report_boards import HARMFUL, harmful_boards, sample_boards
from tests.generators.wandb_stub import (  # noqa: F401  (forget_login is a fixture)
    INTERNAL_ID,
    WandbStub,
    forget_login,
    login,
    no_login,
    serving,
)


class Elements(HTMLParser):
    """Names of the elements of a page, and the text in each kind."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: set[str] = set()
        self.cells: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "td":
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


def shown(name: str) -> str:
    """A name as a reader sees it: line breaks and marks of direction are spaces."""
    return " ".join(name.replace("\u202e", " ").split())


def blocks(boards: list[Board], kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = specification(boards, "team", "made")["spec"]["blocks"]
    return [block for block in found if block["type"] == kind]


def test_a_specification_needs_no_login_and_is_what_wandb_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_login(tmp_path, monkeypatch)
    held = json.loads(json.dumps(specification(sample_boards(), "team", "made")))
    assert (held["entity"], held["project"]) == ("team", "made")
    spec = internal.Spec.model_validate(held["spec"])
    kinds = [block["type"] for block in held["spec"]["blocks"]]
    assert len(spec.blocks) == len(kinds)
    assert kinds.count("panel-grid") == 1  # claims have no runs
    assert kinds.count("markdown-block") == 3
    (waiting,) = held["run_sets_to_look_up"]
    grid = held["spec"]["blocks"][waiting["block"]]["metadata"]
    assert (waiting["entity"], waiting["project"]) == ("team", "made")
    assert "project" not in grid["runSets"][waiting["run_set"]]
    headings = [block["children"][0]["text"] for block in held["spec"]["blocks"] if block["type"] == "heading"]
    assert headings == ["Made fold 1", "Mean average precision by group", "Sports-1M"]


def test_panels_show_accuracy_against_speed_and_groups_of_the_runs_of_a_board() -> None:
    (grid,) = blocks(sample_boards(), "panel-grid")
    panels = {panel["viewType"]: panel["config"] for panel in grid["metadata"]["panelBankSectionConfig"]["panels"]}
    assert panels["Scatter Plot"]["xAxis"] == "summary:test/clips_per_second"
    assert panels["Scatter Plot"]["yAxis"] == "summary:test/video_hit1"
    assert panels["Scatter Plot"]["xAxisLogScale"]
    bars = [p["config"] for p in grid["metadata"]["panelBankSectionConfig"]["panels"] if p["viewType"] == "Bar Chart"]
    assert [len(bar["metrics"]) for bar in bars] == [1, 2]
    assert bars[1]["metrics"][1].endswith("test/map/Sports")
    places = [tuple(p["layout"].values()) for p in grid["metadata"]["panelBankSectionConfig"]["panels"]]
    assert len(set(places)) == 6


def test_a_set_of_runs_is_chosen_by_what_a_test_leaves_in_its_config() -> None:
    record = make_record(make_ledger(fold=2))
    identity, protocol_hash = record.board
    board = dataclasses.replace(sample_boards()[0], identity=identity, protocol_hash=protocol_hash)
    (grid,) = blocks([board], "panel-grid")
    (condition,) = grid["metadata"]["runSets"][0]["filters"]["filters"]
    assert condition["key"] == {"section": "config", "name": "board"}
    assert (condition["op"], condition["value"]) == ("=", board_key(*record.board))


def test_board_keys_tell_boards_apart() -> None:
    keys = {
        board_key(identity, "h")
        for identity in (Identity("A", 1), Identity("A", 2), Identity("A"), Identity("A", 1, ("x",)))
    }
    assert len(keys) == 4
    assert all(len(key) == 16 and int(key, 16) >= 0 for key in keys)


def test_tables_hold_the_figures_of_the_rows() -> None:
    table = board_table(sample_boards()[0])
    first = dict(zip(table.header, table.rows[0], strict=True))
    assert first == {
        "entry": "slow fusion",
        "rank": "1",
        "tier": "recomputed",
        "video Hit@1 in % (95% interval)": "60.0 (55.0 to 65.0)",
        "decoded videos alone in %": "61.0",
        "video Hit@5 in %": "70.0",
        "clip Hit@1 in %": "50.0",
        "clip Hit@5 in %": "60.0",
        "mAP": "0.400",
        "clips/s": "20",
        "GFLOP a clip": "1.25",
        "parameters": "12,345,678",
        "videos": "1,000 (50% of the official), 3 failed",
        "weights": "clean",
    }
    groups = group_table(sample_boards()[0])
    assert groups is not None
    assert groups.header == ("entry", "Body-Motion Only", "Sports")
    assert groups.rows == (("slow fusion", "0.250", "0.500"), ("single frame", "0.200", "0.400"))


def test_claims_are_said_in_words_and_unknown_columns_left_out() -> None:
    claimed = sample_boards()[1]
    assert claims(claimed.rows) == [
        "single-frame (Karpathy et al. 2014, Table 1): clip Hit@1 41.1%, video Hit@1 59.3%, video Hit@5 77.7%"
    ]
    assert board_table(claimed).header == (
        *("entry", "tier", "video Hit@1 in % (95% interval)", "video Hit@5 in %", "clip Hit@1 in %"),
    )
    assert group_table(claimed) is None
    (said,) = blocks([claimed], "list")
    assert "59.3%" in json.dumps(said)


@pytest.mark.parametrize("name", HARMFUL)
def test_markdown_shows_harmful_names_as_text(name: str) -> None:
    table = board_table(harmful_boards()[0])
    page = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(table.markdown())
    found = Elements(page)
    assert set(found.names) == {"table", "thead", "tbody", "tr", "th", "td"}
    assert len(found.cells) == len(table.header) * len(table.rows)
    assert shown(name) in [shown(cell) for cell in found.cells]
    for sign in ("://", "www.", "@", "$", "<", ">", "`", "[", "|"):
        assert sign not in escape(name)


def test_no_harmful_name_reaches_markdown_in_a_report() -> None:
    for block in blocks(harmful_boards(), "markdown-block"):
        page = MarkdownIt("commonmark", {"html": True}).enable("table").render(block["content"])
        assert set(Elements(page).names) == {"table", "thead", "tbody", "tr", "th", "td"}


def test_the_preview_shows_harmful_names_as_text() -> None:
    page = preview(harmful_boards(), title=HARMFUL[0], description=HARMFUL[1], entity=HARMFUL[3], project=HARMFUL[4])
    found = Elements(page)
    assert not {"script", "img", "a", "b", "i"} & set(found.names)
    assert not {name for name in found.attributes if name.startswith("on")} | {"href", "src"} & found.attributes
    for name in HARMFUL:
        assert name in found.cells
    assert "49" not in "".join(found.cells)


def test_the_preview_draws_what_is_known() -> None:
    page = preview(sample_boards(), title="t", description="d", entity="team", project="made")
    found = Elements(page)
    assert found.names.count("circle") == 2  # the third row's speed is unknown
    assert page.count('<div class="track"') == 4
    assert page.count("<span>0.5</span>") == page.count('<table class="bars">') == 2  # bars have an axis
    numbers = re.findall(r'<text class="number"[^>]*>(\d+)</text>', page)
    assert numbers == ["1", "2"]
    assert [name for name in re.findall(r"<li>([^<]*)</li>", page) if name in {"slow fusion", "single frame"}]
    fast, slow = (page.index(f"<title>{name}</title>") for name in ("single frame", "slow fusion"))
    across = [float(page[:at].rsplit('cx="', 1)[1].split('"')[0]) for at in (slow, fast)]
    up = [float(page[:at].rsplit('cy="', 1)[1].split('"')[0]) for at in (slow, fast)]
    assert (across[1] - across[0]) == pytest.approx((720 - 96) / 1.2, abs=0.2)  # a factor of ten, and a tenth each way
    assert (up[1] - up[0]) == pytest.approx(380 - 96, abs=0.2)  # ten points, of ten that are shown


def test_numbers_of_points_that_are_close_are_apart() -> None:
    row = sample_boards()[0].rows[0]
    rows = [
        dataclasses.replace(
            row, name=f"r{n}", clips_per_second=100.0 + n % 2, metrics={**row.metrics, "video_hit1": Value.of(0.5)}
        )
        for n in range(8)
    ]
    board = dataclasses.replace(sample_boards()[0], rows=tuple(rows))
    page = preview([board], title="t", description="d", entity="team", project="made")
    places = [(float(x), float(y)) for x, y in re.findall(r'<text class="number" x="([\d.]+)" y="([\d.]+)"', page)]
    assert len(places) == 8
    for one, other in itertools.combinations(places, 2):
        assert abs(one[0] - other[0]) >= 12 - 0.1 or abs(one[1] - other[1]) >= 11 - 0.1


def test_no_boards_are_a_report_as_well() -> None:
    assert specification([], "team", "made")["run_sets_to_look_up"] == []
    assert "<h1>t</h1>" in preview([], title="t", description="d", entity="team", project="made")


@pytest.mark.parametrize("name", ["", "a/b", "a b", "../x", "x" * 129, "<b>", "a\nb", 'q"'])
def test_names_that_wandb_cannot_have_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="--entity is"):
        check_names(name, "made")
    with pytest.raises(UserError, match="--project is"):
        check_names("team", name)
    check_names("team", "clipbench.v1-a_b")


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbStub]:
    for server in serving(WandbStub()):
        login(server.url, tmp_path, monkeypatch)
        yield server


def api() -> wandb.Api:
    found = connect()
    assert found is not None
    return found


def test_publishing_looks_up_the_project_and_saves_the_report(stub: WandbStub) -> None:
    address = publish(api(), sample_boards(), "team", "made")
    assert address == f"{stub.url}/team/made/reports/clipbench-leaderboards--VmlldzoxMjM="
    assert [name for name in stub.names if name != "Viewer"] == [
        *("GetProjects", "ProjectInternalId", "GetProjects", "upsertView"),
    ]
    saved = stub.saved
    assert (saved["entityName"], saved["projectName"], saved["type"]) == ("team", "made", "runs")
    spec = json.loads(saved["spec"])
    (grid,) = (block for block in spec["blocks"] if block["type"] == "panel-grid")
    project = grid["metadata"]["runSets"][0]["project"]
    assert project == {"name": "made", "entityName": "team", "id": INTERNAL_ID}
    offline = specification(sample_boards(), "team", "made")["spec"]
    assert [block["type"] for block in offline["blocks"]] == [block["type"] for block in spec["blocks"]]


def test_harmful_names_are_published_as_text(stub: WandbStub) -> None:
    publish(api(), harmful_boards(), "team", "made")
    spec = json.loads(stub.saved["spec"])
    for block in spec["blocks"]:
        if block["type"] == "markdown-block":
            assert not set("<>[]`$") & set(block["content"])


def test_a_missing_project_is_named_and_not_made(stub: WandbStub) -> None:
    with pytest.raises(UserError, match=r"no such project .* wandb sync --entity team --project other runs/"):
        publish(api(), sample_boards(), "team", "other")
    assert {"upsertView", "UpsertModel", "CreateProject"} & set(stub.names) == set()


@pytest.mark.parametrize("operation", ["GetProjects", "upsertView"])
def test_a_refusal_is_one_message(stub: WandbStub, operation: str) -> None:
    stub.refuse = frozenset({operation})
    with pytest.raises(UserError, match=r"did not take the report for team/made .*permission denied") as caught:
        publish(api(), sample_boards(), "team", "made")
    assert "\n" not in str(caught.value)


def test_a_refused_login_is_one_message(stub: WandbStub) -> None:
    stub.refuse = frozenset({"Viewer"})
    with pytest.raises(UserError, match=r"did not take the login .*wandb login --relogin"):
        connect()


def test_a_server_that_is_not_there_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    login(f"http://127.0.0.1:{port}", tmp_path, monkeypatch)
    monkeypatch.setattr(wandb_report, "_PAUSE_SECONDS", 0.1)
    with pytest.raises(UserError, match=r"did not take the login .*giving up after 3 attempt.*network is there"):
        connect()


def test_without_a_login_there_is_no_interface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_login(tmp_path, monkeypatch)
    assert connect() is None


def test_a_damaged_key_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    login("http://127.0.0.1:9", tmp_path, monkeypatch)
    monkeypatch.setenv("WANDB_API_KEY", "too short")
    with pytest.raises(UserError, match="did not take the login"):
        connect()


def test_importing_needs_neither_network_nor_login(tmp_path: Path) -> None:
    code = """
import socket
def refuse(*_): raise RuntimeError("a connection was opened")
socket.socket.connect = refuse
import benchmark.leaderboard.wandb_report
print("imported")
"""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment = {**clean, "NETRC": str(tmp_path / "netrc"), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout == "imported\n"
