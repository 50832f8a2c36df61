"""clipbench: which way of connecting a network through time and space is worth its cost?"""

__version__ = "0.1.0"
