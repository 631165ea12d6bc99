"""Train a text classifier, on headlines that are generated or on your own.

examples:
  python train.py
  python train.py --data headlines.csv --num-epochs 10
  python train.py --data headlines.csv --use-glove glove.6B.100d.txt --freeze-embeddings
"""

from __future__ import annotations

import argparse
import logging

from text_classification import config, errors, options, pipeline
from text_classification.experiments import Experiment

log = logging.getLogger("text_classification.train")


def main() -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    options.add_options(parser)
    parser.add_argument(
        "--name", metavar="TEXT", default="textcnn", help="the end of the experiment's id (default: textcnn)"
    )
    arguments = parser.parse_args()
    config.set_up_logging(config.LOGS / "train.log")
    tell(pipeline.run(options.from_options(arguments), arguments.name))


def tell(experiment: Experiment) -> None:
    """Log how good it is, and what comes next."""
    performance = experiment.performance
    rows = {**performance["by_category"], "all": performance["overall"]}
    width = max(map(len, rows))
    log.info("\n%s  precision     recall         F1     tested", " " * width)
    for label, row in rows.items():
        shares = "".join(f"{row[name]:>11.1%}" for name in ("precision", "recall", "f1"))
        log.info("%s%s%11s", label.ljust(width), shares, f"{row['texts']:,}")
    log.info("\nTest accuracy %.1f%%", 100 * performance["accuracy"])
    log.info("Kept in experiments/%s, which is experiments/latest now.", experiment.id)
    log.info("\nNext:")
    log.info('  python predict.py --text "The Wimbledon tennis tournament starts next week!"')
    log.info("  hotfire deploy")


if __name__ == "__main__":
    with errors.reported():
        main()
