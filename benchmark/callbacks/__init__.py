"""What joins a run to its surroundings: throughput, failed videos, checkpoints, tables, lines on the screen."""
