"""Training a network further on other classes: regimes, stored features, the grid, its cells and tables."""
