"""What people use of the options of fit, validate, test and predict: the beginning of their help."""

TRAINER_VERBS = ("fit", "validate", "test", "predict")
"""Verbs of the Trainer."""

_OPTIONS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("--config NAME", "an experiment: a name that `clipbench configs` lists, or a file", TRAINER_VERBS),
    ("--ckpt_path CKPT", "the checkpoint: a file, `last` or `best`", ("validate", "test", "predict")),
    ("--ckpt_path last", "go on with the newest run of this configuration, or with that in --run_dir", ("fit",)),
    (
        "--data NAME --data.root DIR",
        "other videos: ucf101, sports1m, folder, synthetic; the folder they are in",
        TRAINER_VERBS,
    ),
    ("--data.fold 2", "an official fold; --data.help UCF101 lists the options of a dataset", TRAINER_VERBS),
    ("--data.batch_size 32", "clips a batch", TRAINER_VERBS),
    ("--data.num_workers 2", "loader processes", TRAINER_VERBS),
    (
        "--model NAME --model.width 0.5",
        "another network, and options of it; `clipbench models` lists them,",
        TRAINER_VERBS,
    ),
    ("--model.help SingleFrame", "and this the options of one", TRAINER_VERBS),
    ("--model.recipe.learning_rate 0.01", "how it is trained", ("fit",)),
    (
        "--optimizer AdamW --optimizer.lr 0.001",
        "another than the recipe's; --lr_scheduler likewise",
        ("fit",),
    ),
    ("--trainer.max_epochs 24", "how long", ("fit",)),
    ("--trainer.accelerator gpu", "on what; --trainer.devices 2 on how many", TRAINER_VERBS),
    ("--trainer.logger false", "no logs, as those for W&B", ("fit",)),
    ("--seed_everything 1 --data.seed 1", "another seed", ("fit",)),
    ("--predict.videos '[videos/]'", "files and folders to predict", ("predict",)),
    ("--predict.output top.csv", "the table, .csv or .parquet", ("predict",)),
    ("--sample.videos 100", "a quick look: so many random test videos", ("test",)),
    ("--run_dir DIR", "where it is left; a new folder below runs/ by default", TRAINER_VERBS),
    ("--print_config", "show what all options come to, and do nothing", TRAINER_VERBS),
)


def usual_options(verb: str) -> str:
    """Lines that begin the help of a verb.

    Args:
        verb: `fit`, `validate`, `test` or `predict`.
    """
    lines = [f"  {option}\n      {what}" if len(option) > 24 else f"  {option:26s}{what}"
             for option, what, verbs in _OPTIONS if verb in verbs]  # fmt: skip
    return "\n".join(["what people use:", *lines, "", "all options:"])
