"""Draws docs/embedded_data.jpg: a frame of each class of the embedded data, as a network receives it."""

from pathlib import Path

import cv2
import numpy as np

from benchmark.data.decode import open_video
from benchmark.data.preprocess import square_rgb
from benchmark.data.synthetic import read_synthetic_index

SIDE, TITLE = 200, 26

index = read_synthetic_index()
tiles = []
for label, (name, group) in enumerate(zip(index.class_names, index.class_groups or (), strict=True)):
    rows = [row for row in index.rows("train").tolist() if index.video(row).labels == (label,)]
    with open_video(index.video(rows[4]).path) as video:
        picture = square_rgb(next(video.read([20]))[1], SIDE)
    title = np.full((TITLE, SIDE, 3), 255, np.uint8)
    cv2.putText(title, f"{group}: {name}", (2, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    tiles.append(np.pad(np.concatenate([title, picture]), ((0, 4), (2, 2), (0, 0)), constant_values=255))
sheet = np.concatenate([np.concatenate(tiles[row * 4 : row * 4 + 4], 1) for row in range(4)])
cv2.imwrite(str(Path(__file__).with_name("embedded_data.jpg")), sheet[:, :, ::-1])
