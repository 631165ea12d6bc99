"""Classify a text: `python predict.py --text "The Wimbledon tennis tournament starts next week!"`."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from text_classification import config, errors, experiments
from text_classification.prediction import Classifier


def main() -> None:
    """Print what the model says, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--text", required=True, help="what to classify")
    parser.add_argument(
        "--experiment-id",
        metavar="ID",
        default=experiments.LATEST,
        help="a folder of experiments/ (default: latest)",
    )
    arguments = parser.parse_args()
    experiment = experiments.find(config.EXPERIMENTS, arguments.experiment_id)
    (prediction,) = Classifier.load(experiment.folder).predict([arguments.text])
    print(json.dumps(asdict(prediction), ensure_ascii=False, indent=2))


if __name__ == "__main__":
    with errors.reported():
        main()
