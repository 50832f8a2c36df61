"""The paper's tables and figures beside ours: a grid of its systems, and one report of whatever is finished."""
