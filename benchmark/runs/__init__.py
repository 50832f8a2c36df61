"""What a run leaves and how it goes on: folder, checkpoints, ledger and record, provenance, throughput, facts."""
