"""Command lines that people get wrong: each ends with one line that says what was given, and what to change."""

import re
import shlex
from pathlib import Path

import pytest

from benchmark.cli import main

FILES = {
    "broken.yaml": "model: SingleFrame\ndata:\n  class_path: SyntheticActions\n   init_args: {fold: 1}\n",
    "tabs.yaml": "model:\n\tclass_path: SingleFrame\n",
    "list.yaml": "- a\n- b\n",
    "empty.yaml": "",
    "slip.yaml": "model:\n  class_path: SingleFrame\n  init_args:\n    widht: 0.1\ndata: SyntheticActions\n",
    "wrong.yaml": "model: SlowFusoin\ndata: SyntheticActions\n",
    "beside.yaml": "model: SingleFrame\ndata:\n  class_path: VideoFolder\n  init_args:\n  root: videos\n",
    "no_data.yaml": "model: SingleFrame\ndata: SynthticActions\n",
}
PLAIN = "model: SingleFrame\ndata: SyntheticActions\n"
FILES |= {
    **{f"{name}.yaml": f"{PLAIN}{name}: 3\n" for name in ("checkpoint", "trainer", "transfer", "sample", "predict")},
    "text.yaml": f"{PLAIN}transfer: top\n",
    "names.yaml": "model: [SingleFrame]\ndata: SyntheticActions\n",
    "nothing.yaml": "model: SingleFrame\ndata: []\n",
    "list_of_options.yaml": "model:\n  class_path: SingleFrame\n  init_args: [1]\ndata: SyntheticActions\n",
    "number.yaml": "model:\n  class_path: 5\ndata: SyntheticActions\n",
}
CLASS = "it must be the name of a class, or class_path with that name and init_args with its options"
MISTAKES = {
    # values in the place of groups and classes
    "fit --config checkpoint.yaml": "checkpoint is 3, and is a group of options; give them as checkpoint: {monitor:",
    "fit --config trainer.yaml": "trainer is 3, and is a group of options; give them as trainer: {",
    "fit --config transfer.yaml": "transfer is 3, and is a group of options; give them as transfer: {regime: ...}",
    "test --config sample.yaml": "sample is 3, and is a group of options; give them as sample: {videos: ...}",
    "fit --config predict.yaml": "predict is 3, and is a group of options; give them as predict: {videos: ...}",
    "fit --config text.yaml": "transfer is top, and is a group of options",
    "fit --config names.yaml": f"model is ['SingleFrame']; {CLASS}",
    "fit --config nothing.yaml": f"data is []; {CLASS}",
    "fit --config list_of_options.yaml": f"model is {{'class_path': 'SingleFrame', 'init_args': [1]}}; {CLASS}",
    "fit --config number.yaml": f"model is {{'class_path': 5}}; {CLASS}",
    # what lacks, and what is empty
    "fit --model SingleFrame": "--data must be given: ucf101, sports1m, folder or synthetic, or a class of your own",
    "predict --model SingleFrame --predict.videos . --ckpt_path list.yaml": "--data must be given: ucf101",
    "fit --config multires --run_dir ''": "--run_dir is empty; name a file or a folder",
    "predict --config multires --ckpt_path list.yaml --predict.output ''": "--predict.output is empty",
    # verbs
    "fti --config multires": "'fti' is no verb; did you mean fit?",
    "trian": "did you mean fit?",
    "leaderbord build": "did you mean leaderboard?",
    "plugin": "did you mean plugins?",
    "--config multires fit": "the verb comes first; write `python -m benchmark fit --config multires`",
    "--verion": "did you mean --version?",
    "configs cpy multires": "did you mean copy?",
    "leaderboard biuld": "did you mean build? It must be one of add, build",
    "leaderboard": "leaderboard needs one of add, build",
    "protocol shwo gone": "did you mean show?",
    "histograms": "histograms needs one of features, extract",
    "histograms tnue": "did you mean tune?",
    "prepare": "prepare needs one of ucf101, sports1m, synthetic",
    "prepare ucf": "did you mean ucf101?",
    # options
    "fit --config multires --max-epochs 3": "did you mean --trainer.max_epochs?",
    "fit --config multires --epochs 3": "did you mean --trainer.max_epochs?",
    "fit --config multires --lr 0.1": "did you mean --model.recipe.learning_rate?",
    "fit --config multires --batch-size 4": "did you mean --data.batch_size?",
    "fit --config multires --seed 3": "did you mean --seed_everything?",
    "fit --config multires --fold 2": "did you mean --data.fold?",
    "fit --config multires --root videos": "did you mean --data.root?",
    "fit --config multires --gpus 1": "did you mean --trainer.devices?",
    "fit --config multires --resume last": "did you mean --ckpt_path?",
    "fit --config multires --trainer.max-epochs 3": "did you mean --trainer.max_epochs?",
    "predict --config multires --videos x.mp4": "did you mean --predict.videos?",
    "predict --config multires --predict.video x.mp4": "did you mean --predict.videos?",
    "rescore gone --crve true": "did you mean --curve?",
    "prepare ucf101 --rot /nowhere": "did you mean --root?",
    "transfer --config transfer/embedded --tabels": "did you mean --tables?",
    "reproduce --widht 1": "did you mean --width?",
    "report --publsh true": "did you mean --publish?",
    "models --jsn": "did you mean --json?",
    "fit --config multires fit": "fit is one word too many",
    # options of classes
    "fit --config multires --model.lr 0.1": "SingleFrame has no option lr; did you mean recipe.learning_rate?",
    "fit --config multires --model.momentm 0.1": "did you mean recipe.momentum?",
    "fit --config multires --model.widht 0.1": "did you mean width?",
    "fit --config multires --data.batchsize 4": "did you mean batch_size?",
    "fit --config slip.yaml": "SingleFrame has no option widht; did you mean width?",
    "fit --config multires --optimizer AdamW --optimizer.learning_rate 1": "AdamW has no option learning_rate; did you mean lr?",
    "check SlowFusion --model.widht 1": "did you mean width?",
    "speed --config multires --model.widht 1": "did you mean width?",
    # classes
    "fit --config multires --model SlowFusoin": "did you mean SlowFusion?",
    "fit --config wrong.yaml": "did you mean SlowFusion?",
    "fit --config no_data.yaml": "did you mean SyntheticActions?",
    "fit --config multires --data UFC101 --data.root x": "did you mean UCF101?",
    "fit --config multires --optimizer Adma": "which is no Optimizer; did you mean Adam",
    "fit --config multires --lr_scheduler CosineAnealingLR": "did you mean CosineAnnealingLR?",
    "fit --config multires --trainer.callbacks EarlyStoping": "did you mean EarlyStopping?",
    "fit --config multires --trainer.logger WandBLogger": "did you mean WandbLogger?",
    "check nofile.MyModel": "there is no module nofile",
    # names of configurations, and files
    "fit --config multirez": "the nearest: multires",
    "configs copy multirez": "the nearest: multires",
    "transfer --config transfr/embedded": "the nearest: transfer/embedded",
    "fit --config broken.yaml": "broken.yaml is not YAML in line 4, column 13, `init_args: {fold: 1}`: mapping values",
    "fit --config tabs.yaml": "tabs.yaml is not YAML in line 2, column 1, `class_path: SingleFrame`",
    "fit --config list.yaml": "list.yaml holds a list; it must hold options with values",
    "fit --config beside.yaml": "those of VideoFolder belong under init_args",
    "fit --config empty.yaml": "empty.yaml holds nothing; it must hold options with values",
    # values
    "fit --config multires --trainer.max_epochs three": "trainer.max_epochs is three; it must be a whole number or null",
    "fit --config multires --trainer.max_epochs 1.5": "trainer.max_epochs is 1.5; it must be a whole number or null",
    "fit --config multires --trainer.gradient_clip_val high": "is high; it must be a number or null",
    "fit --config multires --seed_everything abc": "is abc; it must be true or false or a whole number",
    "fit --config multires --model.width fast": "model.width is fast; it must be a number",
    "fit --config multires --model.width -1": "width must be above 0 and at most 4",
    "fit --config multires --model.resolution hd": "model.resolution is hd; it must be one of full, multires",
    "fit --config multires --trainer.precision fp16": "trainer.precision is fp16; it must be one of auto",
    "fit --config multires --data.fold 4": "data.fold is 4; SyntheticActions has the folds 1, 2 and 3",
    "fit --config multires --data.fold one": "data.fold is one; it must be a whole number",
    "fit --config multires --data.classes Dscs": "data.classes is Dscs; it must be a list",
    "fit --config multires --data.classes [Dscs]": "did you mean Discs?",
    "fit --config multires --data.clips_per_video 3": "it has train, train_epoch, validation, test",
    "fit --config multires --data.clips_per_video.tst 3": "did you mean test? It has test, train, train_epoch",
    "fit --config multires --data.clips_per_vid.test 3": "has no option clips_per_vid; did you mean clips_per_video?",
    "fit --config multires --data.test_clips 3": "did you mean clips_per_video.test?",
    "fit --config multires --clips_per_video.test 3": "did you mean --data.clips_per_video.test?",
    "fit --config multires --test_clips 3": "did you mean --data.clips_per_video.test?",
    "fit --config multires --recipe.momentum 1": "did you mean --model.recipe.momentum?",
    "fit --config multires --data.test_views [centr]": "data.test_views is centr; it must be one of upper_left",
    "fit --config multires --data.batch_size 0": "data.batch_size is 0",
    "fit --config multires --data UCF101": "UCF101 needs a value for root; give it by --data.root",
    "fit --config multires --data ucf101 --data.root /nowhere": "data.root is /nowhere, which is not a folder",
    "plugins --costs maybe": "--costs is maybe; it must be true or false",
    "power --difference much": "--difference is much; it must be a number",
    "reproduce --only slwo": "--only is slwo; did you mean slow_fusion?",
    "reproduce --folds 4": "--folds has 4; allowed are 1, 2 and 3",
    "new My-Net": "use lower-case letters and digits",
    # what lacks
    "fit": "--config multires, or another that `clipbench configs` lists",
    "test --config multires": "test needs --ckpt_path",
    "test --config multires --ckpt_path gone.ckpt": "there is no file gone.ckpt",
    "test --config multires --ckpt_path list.yaml": "list.yaml is no checkpoint, or is damaged",
    "prepare ucf101": "prepare needs --root;",
    "rescore": "rescore needs LEDGER;",
    "rescore gone": "there is no ledger gone",
    "power": "power needs --difference;",
    "check": "check needs CLASS_PATH;",
    "transfer": "transfer needs --config;",
    "figures gone": "figures needs --out;",
    "audit": "audit needs --data",
    # an order that loses something
    "fit --data.fold 2 --config multires": "write --config first: --config multires --data.fold ...",
    "fit --model SlowFusion --config multires": "write --config first: --config multires --model ...",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_good_line(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLIPBENCH_TRACEBACK", raising=False)
    monkeypatch.delenv("CLIPBENCH_RUN_DIR", raising=False)
    assert main(shlex.split(line)) == 2
    said = capsys.readouterr().err.strip()
    assert MISTAKES[line] in said
    assert said.startswith("clipbench: ")
    assert len(said.splitlines()) == 1
    assert len(said) < 400
    assert not re.search(r"<class|Union|Subtypes|Traceback|typing\.|usage:|unicode string", said)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("accelerator", ["gpu", "cuda"])
def test_a_gpu_where_there_is_none_is_said(
    accelerator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    words = ["--config", "multires", "--trainer.accelerator", accelerator, "--run_dir", str(tmp_path / "run")]
    assert main(["fit", *words]) == 2
    said = capsys.readouterr().err.strip()
    assert re.search(
        rf"^clipbench: trainer.accelerator is {accelerator}, and .*; leave the option out, or give cpu", said
    )
    assert len(said.splitlines()) == 1


def test_a_folder_that_is_not_there_is_said_in_the_verbs_own_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "ucf101", "--root", "/nowhere"]) == 1
    assert capsys.readouterr().out.startswith("--root is /nowhere, which is not a folder.")
