"""Where the time of training goes: loading, computing, the gain of two streams, and other ways of reading clips."""
