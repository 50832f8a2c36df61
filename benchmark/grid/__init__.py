"""Grids of cells: many fits and tests in one folder, each in processes of its own, that go on where they stopped."""
