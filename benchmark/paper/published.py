"""What the paper says that is not in a table of claims: Table 2, and what its figures are said to show."""

TABLE2_BETTER = (
    ("Juggling Club", 0.12),
    ("Pole Climbing", 0.10),
    ("Mountain Unicycling", 0.08),
    ("Tricking", 0.07),
    ("Footbag", 0.07),
    ("Skipping Rope", 0.06),
    ("Rope Climbing", 0.06),
    ("Slacklining", 0.05),
    ("Tee Ball", 0.05),
    ("Sheepdog Trial", 0.05),
)
"""Classes of Sports-1M on which slow fusion has a higher average precision than single-frame, and the difference."""

TABLE2_WORSE = (
    ("Short Track Motor Racing", -0.07),
    ("Road Racing", -0.07),
    ("Jeet Kune Do", -0.07),
    ("Paintball", -0.06),
    ("Freeride", -0.06),
    ("Cricket", -0.06),
    ("Wrestling", -0.06),
    ("Modern Pentathlon", -0.06),
    ("Krav Maga", -0.06),
    ("Rally Cross", -0.05),
)
"""Classes on which it has a lower one."""

FIGURE3 = (
    "Filters of the first layer of a multiresolution network. The paper sees grey, high-frequency features in the "
    "fovea stream, and lower frequencies and colours in the context stream."
)
FIGURE4 = (
    "Predictions on test videos. The paper finds them interpretable, and most errors among fine-grained classes; its "
    "most confused pairs are deer hunting and hunting, hiking and backpacking, powered paragliding and paragliding, "
    "sledding and toboggan, bujinkan and ninjutsu."
)
FIGURE5 = (
    "Videos on which single-frame and slow fusion differ. The paper sees a few classes that motion makes easier, and "
    "motion-aware networks that do worse where the camera moves."
)
MULTIRES_SPEED_UP, SLOW_SPEED_UP = 3.5, 2.0
"""Training clips a second with two streams against the full frame, single-frame and slow fusion (section 4.1)."""
