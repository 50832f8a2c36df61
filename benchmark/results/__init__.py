"""One test's numbers, from its predictions alone: ledger, record, scores, statistics; never imports torch."""
