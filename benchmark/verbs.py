"""The verbs of the command line, and what each is for."""

TRAINER_VERBS = {
    "fit": "train a model: clipbench fit --config multires",
    "validate": "score the validation videos with a checkpoint",
    "test": "score the test videos: 20 clips a video, 4 views a clip",
    "predict": "write the top classes of any videos",
}
"""Lightning's verbs, and what each is for."""

COMMANDS = {
    "configs": "configurations that come with clipbench, by name; `configs copy NAME` writes one to change",
    "models": "networks that --model names, and what each reads of a clip",
    "prepare": "unpack, fetch, generate and check a dataset; Sports-1M as a store of clips: prepare sports1m",
    "audit": "videos of a dataset that show the same, under whatever names, with a picture of each pair",
    "rescore": "all numbers of a ledger again, with intervals, classes, confusions and coverage",
    "average": "the mean of several tests' class probabilities, from their ledgers alone, as an entry of its own",
    "compare": "two ledgers, paired: differences with intervals, tests, and the classes that differ most",
    "figures": "pictures of runs: filters, predictions on frames, classes, confusions, training, speed, groups",
    "power": "before a run: how many videos and sources it takes to tell a difference from chance",
    "protocol": "show the protocol of a record, or say why two cannot be compared: protocol show, protocol diff",
    "leaderboard": "add, build, verify, reproduce or audit entries of the leaderboards",
    "model_card": "a Hugging Face model card with the evaluation results of a test",
    "every_eval_ever": "the results of a test as every-eval-ever JSON",
    "report": "make a W&B report from the leaderboards; needs no login unless it is to be published",
    "evaluate": "a whole result in one command: a configuration on all folds and seeds, each an entry, and its row",
    "launch": "fit, test and others on the workers of a Ray cluster, grids as its tasks: launch --workers 8 fit ...",
    "transfer": "carry a trained network over to other classes: four regimes, all folds, Tables 3 and 4",
    "reproduce": "the whole paper: its systems trained and tested, every table and figure in one report",
    "speed": "where the time of training goes: loading, computing, full against multires, other libraries",
    "histograms": "the feature-histogram baseline: features, extract, tune, ablate",
    "check": "run an architecture through every check it must pass: check my_file.MyModel --model.width 0.1",
    "new": "write a package that adds an architecture: new my_net",
    "completion": "a script with which bash, zsh or tcsh completes verbs, options and names",
    "plugins": "models, datasets, scores, callbacks and verbs there are, with their origin; broken plugins",
}
"""The suite's own verbs, and what each is for, in one line."""

READING_RESULTS = frozenset(
    {
        *("configs", "rescore", "average", "compare", "power", "protocol", "leaderboard"),
        *("model_card", "every_eval_ever"),
    }
)
"""Verbs that import neither torch nor Lightning, so that numbers can be checked where those are not installed."""

WORKING = frozenset(
    {*TRAINER_VERBS, "prepare", "audit", "evaluate", "launch", "transfer", "reproduce", "speed", "histograms", "check"}
)
"""Verbs that work long and leave files: they go on where nobody reads what they print."""
