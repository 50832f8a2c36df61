"""The whole configuration of a run, as a file that can be given to another run."""

from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser, SaveConfigCallback

from benchmark.runs.loggers import move_logs


def shareable(config: Namespace) -> Namespace:
    """A configuration without what belongs to one run alone: its folder and the checkpoint it began with."""
    shared = config.clone()
    folder, shared.open = str(shared.trainer.default_root_dir), False
    shared.run_dir = shared.ckpt_path = shared.trainer.default_root_dir = None
    move_logs(shared.trainer, folder, ".")
    return shared


class ResolvedConfig(SaveConfigCallback):
    """Leaves the whole configuration of a fit as `config.yaml` in the run folder, and of a test as `config_test.yaml`.

    What belongs to one run alone, its folder and the checkpoint it began with, is left out, so that the file can be
    given to `--config` for another run.
    """

    def __init__(self, parser: LightningArgumentParser, config: Namespace, **kwargs: Any) -> None:
        super().__init__(parser, config, overwrite=True, save_to_log_dir=False)

    def save_config(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Write the file."""
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        config = shareable(self.config)
        verb = trainer.state.fn.value
        name = "config.yaml" if verb == "fit" else f"config_{verb}.yaml"
        self.parser.save(config, folder / name, skip_none=False, overwrite=True, multifile=False)
