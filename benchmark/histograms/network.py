"""The classifier of the histogram baseline (section 4.1): a network with one or two hidden layers and dropout.

Letters: B videos, F numbers that describe one, K classes, W words, D numbers of a descriptor.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import lightning as L
import torch
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.extras import require_extra
from benchmark.histograms.features import DIMENSIONS, FEATURES, chosen_features
from benchmark.histograms.words import Words
from benchmark.models.recipe import Recipe
from benchmark.models.video_classifier import VideoClassifier

RECIPE = Recipe(weight_decay=1e-3, warmup_steps=20, plateau_metric="val/map")
"""Few videos make few steps, and there are no clips to score."""


class HistogramNetwork(VideoClassifier):
    """Classifies whole videos by histograms of hand-made features, of all their frames.

    The words that the features are counted by are part of it, and are learned when its training begins, of the training
    videos alone. It has no clips, so it is scored by video only.

    Args:
        num_classes: K.
        hidden_layers: 1 or 2.
        width: Units of a hidden layer.
        dropout: Share of the hidden units left out in training.
        input_dropout: Share of the histograms' numbers left out in training.
        only: Names of the features to see, of `benchmark.histograms.features`; None sees all.
        without: Names of features not to see.
        stride: Frames from one that is looked at to the next.
        words_seed: Seed of the words.
        store: Folder where what is measured in videos is kept; None is `histograms` in the user's cache folder.
        recipe: How it is trained.

    Raises:
        UserError: If an option is out of range.
    """

    reads_whole_videos = True
    optional_library = "skimage"
    training_options = VideoClassifier.training_options | {"input_dropout", "store"}

    has_words: Tensor

    def __init__(
        self,
        num_classes: int,
        *,
        hidden_layers: int = 1,
        width: int = 256,
        dropout: float = 0.5,
        input_dropout: float = 0.0,
        only: Sequence[str] | None = None,
        without: Sequence[str] = (),
        stride: int = 1,
        words_seed: int = 0,
        store: Path | None = None,
        recipe: Recipe = RECIPE,
    ) -> None:
        super().__init__(num_classes, recipe)
        if hidden_layers not in {1, 2} or width < 1 or stride < 1:
            raise UserError(
                f"model.hidden_layers is {hidden_layers}, model.width {width}, model.stride {stride}; the first must "
                "be 1 or 2, the others 1 or more"
            )
        if not (0 <= dropout < 1 and 0 <= input_dropout < 1):
            raise UserError(
                f"model.dropout is {dropout} and model.input_dropout {input_dropout}; both must be from 0 to below 1"
            )
        if recipe.plateau_metric.startswith("val/clip"):
            raise UserError(
                f"model.recipe.plateau_metric is {recipe.plateau_metric}; whole videos have no clips, so name a score "
                "of videos, as val/map or val/video_hit1"
            )
        self.features = chosen_features(only, without)
        self.stride, self.words_seed, self.store = stride, words_seed, store
        names = {feature.name for feature in self.features}
        seen = torch.cat([torch.full((f.dimensions,), f.bins * (f.name in names)) for f in FEATURES]).float()
        layers: list[nn.Module] = [_Seen(seen), nn.Dropout(input_dropout)]
        inputs = sum(feature.dimensions for feature in self.features)
        for _ in range(hidden_layers):
            layers += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout)]
            inputs = width
        self.layers = nn.Sequential(*layers, nn.Linear(inputs, num_classes))
        for feature in FEATURES:
            if feature.kind == "words":
                self.register_buffer(f"words_{feature.name}", torch.zeros(feature.bins, feature.length))
        self.register_buffer("spreads", torch.zeros(len(FEATURES), dtype=torch.float64))
        self.register_buffer("has_words", torch.tensor(False))

    @property
    def head_layers(self) -> nn.Sequential:
        """All of its layers."""
        return self.layers

    def forward(self, histograms: Tensor) -> Tensor:
        """(B, 25000) float32, histograms that add up to 1 each, to logits (B, K)."""
        return self.forward_head(histograms)

    @property
    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Its layers with weights, from the input up."""
        return [list(layer.parameters()) for layer in self.layers if isinstance(layer, nn.Linear)]

    @property
    def words(self) -> dict[str, Words]:
        """The words by feature, once they are learned.

        Raises:
            UserError: If they are not.
        """
        if not self.has_words:
            raise UserError(
                "HistogramNetwork has no words yet; they are learned by `fit`, and come with its checkpoints"
            )
        spreads: Tensor = self.spreads  # type: ignore[assignment]
        return {
            feature.name: Words(self.get_buffer(f"words_{feature.name}").cpu(), float(spread))
            for feature, spread in zip(FEATURES, spreads.cpu(), strict=True)
            if feature.kind == "words"
        }

    def take_words(self, words: Mapping[str, Words]) -> None:
        """Count by these words from now on."""
        for number, feature in enumerate(FEATURES):
            if feature.kind == "words":
                self.get_buffer(f"words_{feature.name}").copy_(words[feature.name].centres)
                self.get_buffer("spreads")[number] = words[feature.name].spread
        self.get_buffer("has_words").fill_(True)

    def configure_callbacks(self) -> Sequence[L.Callback]:
        """What gives it whole videos in place of clips."""
        require_extra("skimage", "HistogramNetwork")
        require_extra("sklearn", "HistogramNetwork")
        from benchmark.histograms.whole_videos import WholeVideos

        return [WholeVideos()]


class _Seen(nn.Module):
    """The numbers of the chosen features, (B, F), of all, (B, 25000), brought to one size.

    A number p of a histogram with n bins becomes sqrt(n p) - 1: 0 in an even histogram, and rare words count for more
    than by their share (Hellinger's kernel).

    Args:
        bins: (25000,) number of bins of each number's histogram, 0 where it is not seen.
    """

    def __init__(self, bins: Tensor) -> None:
        super().__init__()
        if bins.shape != (DIMENSIONS,):
            raise ValueError(f"bins are {tuple(bins.shape)}; expected ({DIMENSIONS},)")
        places = bins.nonzero()[:, 0]
        self.register_buffer("places", places, persistent=False)
        self.register_buffer("bins", bins[places], persistent=False)

    def forward(self, histograms: Tensor) -> Tensor:
        places, bins = self.get_buffer("places"), self.get_buffer("bins")
        chosen = histograms if len(places) == histograms.shape[1] else histograms[:, places]
        return (chosen * bins).sqrt() - 1
