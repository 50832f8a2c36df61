"""The tutorial's notebook runs as it stands, and shows what it says."""

from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs nbformat, of the extra test")
nbclient = pytest.importorskip("nbclient", reason="needs nbclient, of the extra test")
pytest.importorskip("ipykernel", reason="needs ipykernel, of the extra test")
pytest.importorskip("pandas", reason="needs pandas, of the extra test")

ROOT = Path(__file__).resolve().parents[1]


def shown(cell: Any) -> str:
    """What a cell printed, and its value."""
    parts = [output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in cell["outputs"]]
    return "\n".join(map(str, parts))


@pytest.mark.timeout(600)
def test_the_tutorial_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CLIPBENCH_RUN_DIR", raising=False)
    notebook = nbformat.read(ROOT / "docs/tutorial.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code), "outputs are not kept in the file"
    # A cell that raises ends the test with its traceback.
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    said = {cell.source.partition("\n")[0]: shown(cell) for cell in code}
    assert (
        "torch.Size([8, 1, 178, 178, 3])"
        in said['network = benchmark.models.SingleFrame(data.num_classes, resolution="multires", width=0.05)']
    )
    assert "class_2" in said['model = benchmark.load(folder / "mine.ckpt")']
    ran = [text for line, text in said.items() if line.startswith("clipbench(")]
    assert "best val/clip_hit1" in ran[0]
    assert "weights are clean" in ran[1]
    assert "video_hit1_low" in said["results = benchmark.read_results(folder)"]
