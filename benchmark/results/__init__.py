"""Ledger, record, statistics and leaderboards: all numbers that count, from predictions alone; never imports torch."""
