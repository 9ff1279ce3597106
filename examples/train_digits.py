"""Train a support vector machine on handwritten digits with scikit-learn, and write what it reached."""

import json
import os
from pathlib import Path

import digits
from sklearn.svm import SVC


def main() -> None:
    train, labels, held_out, truth = digits.load()
    model = SVC(gamma=0.25).fit(train, labels)
    result = {
        "job": os.environ.get("BARAY_JOB"),
        "model": "support vector machine",
        "trained_on": len(train),
        "held_out": len(truth),
        "accuracy": float(model.score(held_out, truth)),
    }
    Path("results").mkdir(exist_ok=True)
    Path("results/digits.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"accuracy on {result['held_out']} held-out digits: {result['accuracy']:.3f}")


if __name__ == "__main__":
    main()
