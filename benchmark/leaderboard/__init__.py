"""Many tests' numbers beside each other: entries, ranking, tables, page and W&B report; never imports torch."""
