"""What every architecture must do: one function a check, each of which says what is wrong and what to change.

Letters: B clips, T frames, S side of the input in pixels, K classes.
"""

import io
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from benchmark.conformance.schedules import schedules
from benchmark.conformance.subject import CLASSES, FRAME_SIDE, SHARED_CLIP, Finding, Subject, shaken
from benchmark.importing import one_line
from benchmark.models.building import first_optimizer
from benchmark.models.video_classifier import VideoClassifier
from benchmark.wording import counted

Check = Callable[[Subject], list[Finding]]

_LEARNED = 0.99  # of the first loss; a step against the gradient of another function does not get there
_ENOUGH = 0.95  # no further step is needed
_WARMUP_STEPS = 10
_SHOWN = 3


def declaration(subject: Subject) -> list[Finding]:
    """The frames it reads lie in the clip, and its input in the frame."""
    network = subject.network
    found = []
    offsets = getattr(network, "frame_offsets", None)
    clip = getattr(network, "clip_frames", SHARED_CLIP)
    if not (
        isinstance(offsets, tuple)
        and offsets
        and all(type(t) is int and 0 <= t < clip for t in offsets)
        and list(offsets) == sorted(set(offsets))
    ):
        found.append(
            Finding(
                f"frame_offsets is {offsets!r}",
                f"set it to a tuple of different, rising frame numbers from 0 to {clip - 1}, such as (0, {clip - 1})",
            )
        )
    side = getattr(network, "input_side", None)
    if not (type(side) is int and 1 <= side <= FRAME_SIDE):
        found.append(Finding(f"input_side is {side!r}", f"set it to whole pixels from 1 to {FRAME_SIDE}"))
    for name, kind in (("scores", type(None)), ("train_hit1", Metric), ("train_hit5", Metric)):
        if not isinstance(getattr(network, name), kind):
            found.append(Finding(f"{name} is one of its layers", "rename it; the base class holds its metrics there"))
    return found


def shapes(subject: Subject) -> list[Finding]:
    """Logits are (B, K), floating point and finite, also of one clip and while training."""
    found = []
    for classes in (CLASSES, 2):
        network = subject.build(num_classes=classes)
        for count in (1, 3):
            for mode in ("evaluation", "training"):
                network.train(mode == "training")
                where = f"{counted(count, 'clip')} in {mode} with {classes} classes"
                try:
                    logits = network(subject.clips(count))
                except Exception as error:
                    found.append(Finding(f"forward raises {one_line(error)} for {where}", _accept(network)))
                else:
                    found += _well_formed(logits, count, classes, where)
    return found[:1]  # the others say the same


def no_clips(subject: Subject) -> list[Finding]:
    """A batch in which no video could be read has no clips; it gives (0, K) and a gradient of zero."""
    found = []
    network = subject.build()
    for training in (False, True):
        network.train(training)
        where = "no clips " + ("in training" if training else "in evaluation")
        try:
            logits = network(subject.clips(0))
        except Exception as error:
            change = "begin forward with a case for len(clips) == 0, or use layers that take empty batches"
            return [Finding(f"a batch of {where} raises {one_line(error)}", change)]
        found += _well_formed(logits, 0, CLASSES, where)
    if not found:
        if not logits.requires_grad:
            change = "make them from the parameters, so that processes can average gradients with the others"
            return [Finding("logits of a batch of no clips in training have no gradient", change)]
        torch.autograd.backward(logits.sum())
        touched = [n for n, p in network.named_parameters() if p.grad is not None and not bool((p.grad == 0).all())]
        if touched:
            change = "let a batch without clips leave the weights alone"
            found.append(Finding(f"a batch of no clips has a gradient for {_names(touched)}", change))
    return found


def frames(subject: Subject) -> list[Finding]:
    """Each declared frame matters, and the clips that are handed in stay as they are."""
    network = shaken(subject.build()).eval()
    clips = subject.clips(2)
    handed = clips.clone()
    before = _scored(network, handed)
    found = []
    if not torch.equal(handed, clips):
        change = "compute on a copy: the other views are cut from the same frames"
        found.append(Finding("forward changes the frames it is given", change))
    idle = []
    for place, offset in enumerate(network.frame_offsets):
        changed = clips.clone()
        changed[:, place] = 255 - changed[:, place]
        if torch.equal(_scored(network, changed), before):
            idle.append(offset)
    if idle:
        found.append(
            Finding(
                f"logits do not depend on frame {', '.join(map(str, idle))} of frame_offsets",
                "leave out of frame_offsets what forward does not read, since each frame costs decoding; or read it",
            )
        )
    return found


def gradients(subject: Subject) -> list[Finding]:
    """Every parameter that is trained gets a finite gradient."""
    network = subject.build().train()
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    if not trained:
        return [Finding("no parameter is trained", "hold weights as nn.Parameter, with requires_grad as it is")]
    logits = _run(network, subject.clips(4))
    if not logits.requires_grad:
        return [Finding("logits have no gradient", "keep torch.no_grad, detach and argmax out of forward")]
    torch.autograd.backward(_loss(logits))
    found = []
    without = [name for name, parameter in trained.items() if parameter.grad is None]
    if without:
        change = "use it in forward, or delete it: with several processes the others would wait for it forever"
        found.append(Finding(f"{_names(without)} gets no gradient", change))
    wild = [n for n, p in trained.items() if p.grad is not None and not bool(p.grad.isfinite().all())]
    if wild:
        change = "look for divisions by zero, roots and logarithms of zero, and too large initial weights"
        found.append(Finding(f"the gradient of {_names(wild)} is not finite", change))
    return found


def seed(subject: Subject) -> list[Finding]:
    """One seed gives one network and, from PyTorch's generator alone, one output in training."""
    found = []
    first, second = subject.build(seed=3), subject.build(seed=3)
    weights = second.state_dict()
    differs = [name for name, value in first.state_dict().items() if not torch.equal(value, weights[name])]
    if differs:
        change = "draw initial weights from torch's generator, not from a clock, the system or a generator of your own"
        found.append(Finding(f"two networks built with one seed differ in {_names(differs)}", change))
    second.load_state_dict(shaken(first).state_dict())
    outputs = []
    for network in (first, second):
        network.train()
        torch.manual_seed(7)
        outputs.append(_scored(network, subject.clips(3)))
    if not torch.equal(*outputs):
        change = "draw from torch's generator alone: it is seeded at each step, so that a resumed run repeats itself"
        found.append(Finding("one seed gives two outputs in training", change))
    first.eval()
    if not torch.equal(_scored(first, subject.clips(3)), _scored(first, subject.clips(3))):
        change = "let nothing be random where self.training is false"
        found.append(Finding("evaluation of the same clips twice gives two outputs", change))
    return found


def state_dict(subject: Subject) -> list[Finding]:
    """Weights saved, read as tensors only and loaded into a new network give the same output."""
    network = shaken(subject.build(seed=1))
    network.train()
    _scored(network, subject.clips(4))  # running statistics are part of the state
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    other = subject.build(seed=2)
    try:
        other.load_state_dict(torch.load(file, weights_only=True))
    except Exception as error:
        change = "let the names and shapes of parameters and buffers depend on the options alone"
        return [Finding(f"its own state does not load into a new network: {one_line(error)}", change)]
    clips = subject.clips(3)
    if not torch.equal(_scored(network.eval(), clips), _scored(other.eval(), clips)):
        change = "hold every tensor that forward uses as nn.Parameter or by register_buffer, not as a plain attribute"
        return [Finding("a network with the loaded state gives another output", change)]
    return []


def batch_independence(subject: Subject) -> list[Finding]:
    """In evaluation a clip's logits are equal alone and among others."""
    network = shaken(subject.build())
    network.train()
    _scored(network, subject.clips(4))
    network.eval()
    clips = subject.clips(4)
    together = _scored(network, clips)
    alone = torch.cat([_scored(network, clips[n : n + 1]) for n in range(len(clips))])
    scale = float(together.abs().max())
    # Convolutions of different batch sizes add in different orders.
    if not torch.allclose(together, alone, rtol=1e-4, atol=1e-4 * scale + 1e-7):
        most = float((together - alone).abs().max())
        change = "compute no statistics over the batch where self.training is false"
        return [Finding(f"logits of a clip change by up to {most:.3g} with its neighbours in the batch", change)]
    return []


def layer_groups(subject: Subject) -> list[Finding]:
    """The declared groups hold each parameter once, and the last one is the layer that makes the logits."""
    network = subject.network
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    try:
        groups = [list(group) for group in network.layer_groups]
    except Exception as error:
        return [Finding(f"layer_groups raises {one_line(error)}", "return lists of parameters, from the input up")]
    flat = [id(parameter) for group in groups for parameter in group]
    found = []
    lacking = [name for key, name in names.items() if key not in flat]
    if lacking:
        found.append(Finding(f"layer_groups lacks {_names(lacking)}", "put each parameter into a group"))
    twice = sorted({names.get(key, "a foreign parameter") for key in flat if flat.count(key) > 1 or key not in names})
    if twice:
        found.append(
            Finding(f"layer_groups holds {_names(twice)} more than once, or it is no parameter", "list it once")
        )
    if found or not all(groups):
        return found or [Finding("layer_groups holds a group without parameters", "leave it out")]
    other = {name: parameter.shape for name, parameter in subject.build(num_classes=CLASSES + 2).named_parameters()}
    logits = {name for name, p in network.named_parameters() if p.shape != other.get(name)}
    last = {names[id(parameter)] for parameter in groups[-1]}
    change = "let the last group be the layer that makes the logits and nothing else; other layers are in groups below"
    below = sorted(logits - last)
    if below:
        found.append(Finding(f"{_names(below)} depends on the number of classes but is not in the last group", change))
    above = sorted(n for n in last - logits if len(other[n]) > 1)
    if above and logits:
        found.append(Finding(f"{_names(above)} is in the last group but does not make logits", change))
    return found


def bfloat16(subject: Subject) -> list[Finding]:
    """Under bfloat16 autocast, the precision of most runs, logits and gradients are finite."""
    network = subject.build().train()
    change = "convert the uint8 frames before you compute, and keep exponentials, sums and roots in float32"
    try:
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(subject.clips(4))
        torch.autograd.backward(_loss(logits))
    except Exception as error:
        return [Finding(f"autocast to bfloat16 raises {one_line(error)}", change)]
    if not bool(logits.isfinite().all()):
        return [Finding("logits are not finite in bfloat16", change)]
    wild = [n for n, p in network.named_parameters() if p.grad is not None and not bool(p.grad.isfinite().all())]
    return [Finding(f"the gradient of {_names(wild)} is not finite in bfloat16", change)] if wild else []


def learning(subject: Subject) -> list[Finding]:
    """With its own optimiser the loss on eight clips falls."""
    network = subject.build().train()
    clips = subject.clips(8)
    if (optimizer := first_optimizer(network)) is None:
        change = "give one, as LightningModule.configure_optimizers documents"
        return [Finding("configure_optimizers gives no optimiser", change)]
    rates = [group.get("initial_lr", group["lr"]) for group in optimizer.param_groups]  # a schedule may have begun low
    first = value = float("nan")
    for step in range(subject.steps + 1):
        torch.manual_seed(0)  # the same dropout each time, so that losses can be compared
        loss = _loss(_run(network, clips))
        value = float(loss.detach())
        first = value if step == 0 else first
        if step == subject.steps or value < _ENOUGH * first or not loss.requires_grad:
            break
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * min(1.0, (step + 1) / _WARMUP_STEPS)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    if value < _LEARNED * first:
        return []
    change = "check that forward is differentiable, that pixels are scaled to about -2 to 2, and the initial weights"
    steps = counted(subject.steps, "step")
    return [Finding(f"the loss on 8 clips goes from {first:.4f} to {value:.4f} in {steps}", change)]


def run_check(check: Check, subject: Subject) -> list[Finding]:
    """What a check finds; whatever the network or its constructor raises is a finding too."""
    if found := subject.unbuilt():
        return found
    try:
        return check(subject)
    except Exception as error:
        return [Finding(one_line(error), f"see where it comes from; if forward raises it, {_accept(subject.network)}")]


def _accept(network: VideoClassifier) -> str:
    side, offsets = getattr(network, "input_side", "S"), getattr(network, "frame_offsets", None)
    count = len(offsets) if isinstance(offsets, tuple) else "T"
    return (
        f"take (B, {count}, {side}, {side}, 3) uint8 RGB for any B, as frame_offsets and input_side declare; one clip "
        "is a batch too, of which batch normalisation after global pooling can make no statistics"
    )


def _run(network: VideoClassifier, clips: Tensor) -> Tensor:
    logits: Tensor = network(clips)
    return logits


def _scored(network: VideoClassifier, clips: Tensor) -> Tensor:
    with torch.no_grad():
        return _run(network, clips)


def _loss(logits: Tensor) -> Tensor:
    return F.cross_entropy(logits.float(), torch.arange(len(logits)) % CLASSES)


def _well_formed(logits: object, count: int, classes: int, where: str) -> list[Finding]:
    if not isinstance(logits, Tensor) or logits.shape != (count, classes) or not logits.is_floating_point():
        got = f"{tuple(logits.shape)} {logits.dtype}" if isinstance(logits, Tensor) else type(logits).__name__
        change = f"return one floating-point logit for each clip and class, here ({count}, {classes})"
        return [Finding(f"forward gives {got} for {where}", change)]
    if not bool(logits.isfinite().all()):
        change = "look for divisions by zero, batch statistics of a single value, and too large initial weights"
        return [Finding(f"logits are not finite for {where}", change)]
    return []


def _names(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


CHECKS: dict[str, Check] = {
    "declaration": declaration,
    "shapes": shapes,
    "no_clips": no_clips,
    "frames": frames,
    "gradients": gradients,
    "seed": seed,
    "state_dict": state_dict,
    "batch_independence": batch_independence,
    "layer_groups": layer_groups,
    "bfloat16": bfloat16,
    "learning": learning,
    "schedules": schedules,
}
"""The checks by name; all must pass."""
