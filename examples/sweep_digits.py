"""One task of a sweep: softmax regression on digits with the task's own learning rate and batch size."""

import argparse
import itertools
import json
from pathlib import Path

import digits
import numpy as np

RATES = (0.001, 0.01, 0.1, 1.0)
BATCHES = (32, 256)
GRID = tuple(itertools.product(RATES, BATCHES))  # task 0 takes the first, and so on
EPOCHS = 30


def train(pixels: np.ndarray, labels: np.ndarray, rate: float, batch: int, seed: int) -> np.ndarray:
    """Stochastic gradient descent with momentum."""
    order = np.random.default_rng(seed)
    weights = np.zeros((pixels.shape[1], digits.CLASSES))
    velocity = np.zeros_like(weights)
    for _ in range(EPOCHS):
        shuffled = order.permutation(len(labels))
        for begin in range(0, len(labels), batch):
            part = shuffled[begin : begin + batch]
            velocity = 0.9 * velocity - rate * digits.gradient(weights, pixels[part], labels[part])
            weights += velocity
    return weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", type=int, required=True, choices=range(len(GRID)), help="which of the grid")
    task = parser.parse_args().task
    rate, batch = GRID[task]
    pixels, labels, held_out, truth = digits.load()
    weights = train(pixels, labels, rate, batch, seed=task)
    result = {
        "task": task,
        "rate": rate,
        "batch": batch,
        "epochs": EPOCHS,
        "accuracy": digits.accuracy(weights, held_out, truth),
    }
    Path("results").mkdir(exist_ok=True)
    Path(f"results/sweep-{task}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"rate {rate}, batch {batch}: accuracy {result['accuracy']:.3f}")


if __name__ == "__main__":
    main()
