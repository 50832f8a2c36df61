"""Which layers of a pretrained network are trained on other classes (section 5), and the paper's words for it."""

from typing import Literal

Regime = Literal["scratch", "top", "top3", "all"]

REGIMES: dict[Regime, str] = {
    "scratch": "trained from scratch",
    "top": "top layer retrained",
    "top3": "top 3 layers retrained",
    "all": "all layers retrained",
}
"""Each regime in the words of Tables 3 and 4."""
