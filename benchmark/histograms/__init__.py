"""The feature-histogram baseline (section 4.1): hand-made features, visual words and a small network."""

from benchmark.histograms.network import HistogramNetwork as HistogramNetwork
