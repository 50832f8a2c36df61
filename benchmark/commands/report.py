"""Makes a W&B report from the leaderboards: on disk with a preview, and on W&B with a login."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from benchmark.command_line import Parser
from benchmark.errors import UserError
from benchmark.extras import require_extra
from benchmark.leaderboard.ranking import read_boards
from benchmark.leaderboard.report_preview import preview

SPECIFICATION_NAME, PREVIEW_NAME = "report.json", "report.html"


def report(
    entity: str,
    project: str,
    root: Path = Path("leaderboards"),
    output: Path = Path("wandb_report"),
    ledgers: Path | None = None,
    publish_it: bool = False,
) -> int:
    """Write the report's specification and a preview of it; publish it if asked to.

    Args:
        entity: W&B user or team that owns the report.
        project: Its project that holds the runs.
        root: The leaderboards' folder.
        output: Folder to write to.
        ledgers: Folder with large ledgers, named `<sha256>.parquet`.
        publish_it: Whether to save the report on W&B.

    Returns:
        0, or 1 where it was to be published and there is no login.

    Raises:
        UserError: If an entry is not what it should be, the folder cannot be written, wandb is missing, or W&B refuses.
    """
    for library in ("wandb", "wandb_workspaces"):
        require_extra(library, "report")
    # Loading W&B's libraries takes a second or two, for which no other verb should wait.
    from benchmark.leaderboard.wandb_report import (
        DESCRIPTION,
        TITLE,
        check_names,
        connect,
        publish,
        specification,
        sync_command,
    )

    check_names(entity, project)
    boards = read_boards(root, ledgers)
    page = preview(boards, title=TITLE, description=DESCRIPTION, entity=entity, project=project)
    texts = {
        SPECIFICATION_NAME: json.dumps(specification(boards, entity, project), indent=1) + "\n",
        PREVIEW_NAME: page,
    }
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (output / name).write_text(text, "utf-8")
            print(f"wrote {output / name}")
    except OSError as error:
        raise UserError(f"--output {output} cannot be written ({error.strerror}); name another folder") from error
    api = connect() if publish_it else None
    if api is not None:
        print(f"published {publish(api, boards, entity, project)}")
        return 0
    print(f"not published: {'there is no login to W&B' if publish_it else '--publish is not given'}. To publish it:")
    again = {"--entity": entity, "--project": project, "--root": root, "--output": output, "--ledgers": ledgers}
    options = " ".join(f"{name} {shlex.quote(str(value))}" for name, value in again.items() if value is not None)
    print(f"  wandb login\n  {sync_command(entity, project)}\n  python -m benchmark report {options} --publish")
    return int(publish_it)


def main(argv: Sequence[str]) -> int:
    """Run `report --entity E --project P [options]` and return the exit code."""
    parser = Parser(prog="clipbench report", description="Make a W&B report from the leaderboards.")
    parser.add_function_arguments(report, as_group=False, skip={"publish_it"})
    parser.add_argument("--publish", action="store_true", help="Save the report on W&B, with the login that wandb has.")
    chosen = parser.parse_args(list(argv)).as_dict()
    return report(**{name: value for name, value in chosen.items() if name != "publish"}, publish_it=chosen["publish"])
