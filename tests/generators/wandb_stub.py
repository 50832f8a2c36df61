"""A stub of W&B's server on this machine: answers the few GraphQL calls that saving a report makes, and records them.

It stands in for the real server only in the form of its answers; what W&B does with a report cannot be seen here.
"""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import wandb

API_KEY = "f" * 40
INTERNAL_ID = "UHJvamVjdEludGVybmFsSWQ6NDI="


class WandbStub(ThreadingHTTPServer):
    """The server; `calls` holds the name and variables of each operation."""

    def __init__(self, projects: tuple[str, ...] = ("made",), refuse: frozenset[str] = frozenset()) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.projects, self.refuse = projects, refuse
        self.calls: list[tuple[str, dict[str, Any]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def names(self) -> list[str]:
        """Operations in order."""
        return [name for name, _ in self.calls]

    @property
    def saved(self) -> dict[str, Any]:
        """What the last saved report was saved with."""
        return [variables for name, variables in self.calls if name == "upsertView"][-1]

    def answer(self, name: str, variables: dict[str, Any]) -> dict[str, Any]:
        if name == "GetProjects":
            edges = [{"node": self._project(project, variables["entity"])} for project in self.projects]
            page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
            return {"models": {"pageInfo": page, "edges": edges}}
        if name == "ProjectInternalId":
            held = variables["projectName"] in self.projects
            return {"project": {"id": "UHJvamVjdDox", "internalId": INTERNAL_ID} if held else None}
        if name == "upsertView":
            project = {"id": "UHJvamVjdDox", "name": variables["projectName"], "entityName": variables["entityName"]}
            same = {key: variables[key] for key in ("name", "displayName", "type", "description", "spec")}
            view = {**same, "id": "VmlldzoxMjM=", "project": project, "updatedAt": "2026-01-02T03:04:05Z"}
            return {"upsertView": {"view": view, "inserted": True}}
        viewer = {"id": "VXNlcjox", "entity": "team", "username": "me", "email": None, "flags": None}
        return {"viewer": {**viewer, "teams": {"edges": []}}}

    @staticmethod
    def _project(name: str, entity: str) -> dict[str, Any]:
        node = {"__typename": "Project", "id": "UHJvamVjdDox", "name": name, "entityName": entity}
        return {**node, "createdAt": "2026-01-02T03:04:05Z", "isBenchmark": False, "user": None}


class _Handler(BaseHTTPRequestHandler):
    server: WandbStub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/graphql":
            return self._send(404, {})
        asked = json.loads(body)
        match = re.search(r"(?:query|mutation)\s+(\w+)", asked["query"])
        name, variables = match[1] if match else "", asked.get("variables") or {}
        self.server.calls.append((name, variables))
        if name in self.server.refuse:
            return self._send(403, {"errors": [{"message": "permission denied"}]})
        return self._send(200, {"data": self.server.answer(name, variables)})

    def _send(self, status: int, content: dict[str, Any]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


def no_login(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in which wandb finds no login and writes below a folder alone."""
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(folder / "netrc"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    for name in ("DIR", "DATA_DIR", "CACHE_DIR", "CONFIG_DIR"):
        monkeypatch.setenv(f"WANDB_{name}", str(folder))
    wandb.teardown()  # settings are read once a process


def login(server_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in which wandb talks to the given server alone."""
    no_login(folder, monkeypatch)
    monkeypatch.setenv("WANDB_BASE_URL", server_url)
    monkeypatch.setenv("WANDB_API_KEY", API_KEY)
    wandb.teardown()


def serving(stub: WandbStub) -> Iterator[WandbStub]:
    """Serve while a fixture lasts."""
    thread = threading.Thread(target=stub.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        stub.shutdown()
        stub.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def forget_login() -> Iterator[None]:
    """Let no later test find the login of a test; wandb keeps it for the whole process. Import it to use it."""
    yield
    wandb.teardown()
