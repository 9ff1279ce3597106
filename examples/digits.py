"""The digits data set that scikit-learn ships, and softmax regression on it in plain numpy.

1,797 handwritten digits of 8 by 8 pixels (UCI, "Optical Recognition of Handwritten Digits"). Read straight from
scikit-learn's file: importing the whole of it takes longer than the training.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

CLASSES = 10
HELD_OUT = 0.25
SPLIT_SEED = 7


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images and labels to train on, then images and labels held out; the same split every time."""
    spec = find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("this Python has no scikit-learn, which ships the data; give another: --env PYTHON=…")
    table = np.loadtxt(Path(spec.submodule_search_locations[0]) / "datasets/data/digits.csv.gz", delimiter=",")
    pixels = np.hstack([table[:, :-1] / 16, np.ones((len(table), 1))])  # the last column is the bias
    labels = table[:, -1].astype(int)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(table))
    held_out, train = np.split(order, [int(HELD_OUT * len(table))])
    return pixels[train], labels[train], pixels[held_out], labels[held_out]


def gradient(weights: np.ndarray, pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of the mean cross-entropy."""
    scores = pixels @ weights
    chances = np.exp(scores - scores.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    chances[np.arange(len(labels)), labels] -= 1
    return pixels.T @ chances / len(labels)


def accuracy(weights: np.ndarray, pixels: np.ndarray, labels: np.ndarray) -> float:
    return float(((pixels @ weights).argmax(axis=1) == labels).mean())
