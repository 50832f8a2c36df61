"""A stranger's configuration imports nothing, whatever it names and wherever."""

from pathlib import Path

import pytest

from benchmark.commands.reproduction import recorded_settings
from benchmark.errors import UserError
from benchmark.importing import foreign_code
from tests.generators.ledgers import make_ledger, make_record

OWN = {
    "class_path": "benchmark.models.SingleFrame",
    "init_args": {
        "width": 0.25,
        "recipe": {"class_path": "benchmark.models.Recipe", "init_args": {"plateau_metric": "val/clip_hit1"}},
        "annotations": "annotations_of_mine.csv",
    },
}


def test_what_the_package_offers_may_be_named() -> None:
    assert list(foreign_code(OWN)) == []


@pytest.mark.parametrize(
    "strange",
    [
        "strange_module.Net",
        "os.system",
        "subprocess.Popen",
        "benchmark.data.cache.os.system",
        "benchmark.data.cache.mmap",
        "benchmark.cli.main",
    ],
)
def test_a_foreign_name_at_any_depth_is_refused_before_it_is_imported(
    strange: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "strange_module.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    for inner in (
        strange,
        {"class_path": strange},
        [{"init_args": {"on_end": [strange]}}],
        {strange: 1},
        f"[{strange}]",  # texts that the parser reads as YAML
        f"class_path: {strange}\ninit_args: {{}}",
        "".join(['- !!str "', *(f"\\x{ord(sign):02x}" for sign in strange), '"']),
        f"[&a [{strange}], *a, 2020-99-99]",
        f"['[{strange}]']",
    ):
        model = {"class_path": "benchmark.models.SingleFrame", "init_args": {"recipe": inner}}
        data = {"class_path": "benchmark.data.SyntheticActions", "init_args": {}}
        config = {"model": model, "data": data}
        record = make_record(make_ledger()).model_copy(update={"config": config})
        with pytest.raises(UserError, match="code from outside this package"):
            recorded_settings(record, None, None, trust_code=False)
        recorded_settings(record, None, None, trust_code=True)
    assert not (tmp_path / "ran").exists()
