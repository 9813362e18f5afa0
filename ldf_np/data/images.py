"""What a data set of labelled images is."""

from dataclasses import dataclass

import numpy as np

SIZE = 32  # rows and columns of an image
SHAPE = (SIZE, SIZE, 3)
CLASSES = 10


@dataclass(frozen=True)
class Images:
    """Labelled images to train on and held-out ones.

    train: uint8 (n, 32, 32, 3), channels RGB, values 0 to 255; test: the same, held out.
    train_labels, test_labels: int64 (n,), the place of each image's class in ``classes``.
    classes: the names of the ten classes.
    settings: the recipe, in plain numbers and strings.
    """

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    classes: tuple
    settings: dict
