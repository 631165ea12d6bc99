"""Train with every combination of options and rank the results.

Every option of train.py takes several values here. A switch takes yes, no or both;
filter sizes are written 1,2,3.

example:
  python sweep.py --learning-rate 0.001 0.003 --filter-sizes 1,2,3 2,3,4 --char-level yes no
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from text_classification import config, errors, experiments, options, pipeline
from text_classification.experiments import Experiment
from text_classification.options import Options

log = logging.getLogger("text_classification.sweep")


@dataclass(frozen=True)
class Result:
    """A combination's experiment. `varied`: the options that not all combinations share."""

    varied: dict[str, Any]
    experiment: Experiment

    @property
    def val_loss(self) -> float:
        """Of the epoch that was kept."""
        return float(min(epoch["val"]["loss"] for epoch in self.experiment.performance["epochs"]))

    @property
    def accuracy(self) -> float:
        """On the test rows."""
        return float(self.experiment.performance["accuracy"])

    def as_json(self) -> dict[str, Any]:
        """What the ranking's file holds of it."""
        return {
            "experiment_id": self.experiment.id,
            "validation_loss": self.val_loss,
            "test_accuracy": self.accuracy,
            "options": self.varied,
        }


def main() -> None:
    """Sweep as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    options.add_grid(parser)
    arguments = parser.parse_args()
    config.set_up_logging(config.LOGS / "sweep.log")
    started = datetime.now()
    # By the validation data: the test data must not choose the model that it is to judge.
    ranking = sorted(run_all(list(options.from_grid(arguments))), key=lambda result: result.val_loss)
    if not ranking:
        raise errors.UserError("no combination could be trained")
    best = ranking[0].experiment
    experiments.make_latest(best)
    file = config.EXPERIMENTS / f"{started:%Y%m%d-%H%M%S}-sweep.json"
    file.write_text(json.dumps([result.as_json() for result in ranking], indent=2) + "\n", encoding="utf-8")
    for line in table(ranking):
        log.info("%s", line)
    log.info("\nThe best is experiments/%s, which is experiments/latest now.", best.id)
    log.info("The ranking is kept in experiments/%s.", file.name)


def run_all(combinations: Sequence[tuple[dict[str, Any], Options]]) -> Iterator[Result]:
    """Train with each; one that cannot be trained is said and left out."""
    for number, (varied, chosen) in enumerate(combinations, 1):
        said = "  ".join(f"{options.flag(name)} {options.shown(value)}" for name, value in varied.items())
        log.info("%d of %d:  %s", number, len(combinations), said or "the options as given")
        try:
            yield Result(varied, pipeline.run(chosen, f"sweep-{number}"))
        except errors.UserError as error:
            log.warning("left out: %s", error)
        log.info("")


def table(ranking: Sequence[Result]) -> Iterator[str]:
    """The ranking in columns, the best first."""
    names = list(ranking[0].varied)
    columns = [name.replace("_", " ") for name in names]
    rows = [["rank", "validation loss", "test accuracy", *columns, "experiment"]]
    for rank, result in enumerate(ranking, 1):
        scores = [f"{result.val_loss:.3f}", f"{result.accuracy:.1%}"]
        values = [options.shown(result.varied[name]) for name in names]
        rows.append([str(rank), *scores, *values, result.experiment.id])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "   ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))


if __name__ == "__main__":
    with errors.reported():
        main()
