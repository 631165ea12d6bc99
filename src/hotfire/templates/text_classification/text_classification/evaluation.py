"""How good a model is: precision, recall and F1 by category, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Quality:
    """How well a category is told from the others; each is 0 where there is nothing to divide by."""

    precision: float
    """Of the texts that were put in the category, the share that belongs there."""

    recall: float
    """Of the texts that belong there, the share that was put there."""

    f1: float
    """The harmonic mean of both."""

    texts: int
    """How many belong there."""


@dataclass(frozen=True)
class Evaluation:
    """What the confusion matrix says: rows are the true categories, columns the predicted ones."""

    labels: tuple[str, ...]
    matrix: Matrix

    @classmethod
    def of(cls, labels: Sequence[str], true: Sequence[int], predicted: Sequence[int]) -> Evaluation:
        """Compare class numbers, text by text."""
        matrix = np.zeros((len(labels), len(labels)), dtype=np.int64)
        np.add.at(matrix, (np.asarray(true, dtype=np.int64), np.asarray(predicted, dtype=np.int64)), 1)
        return cls(tuple(labels), matrix)

    @property
    def accuracy(self) -> float:
        """The share of texts that were put in their category."""
        return float(_ratio(np.trace(self.matrix), self.matrix.sum()))

    @property
    def by_category(self) -> dict[str, Quality]:
        """Each category's own quality."""
        right = np.diag(self.matrix)
        precision = _ratio(right, self.matrix.sum(axis=0))
        recall = _ratio(right, self.matrix.sum(axis=1))
        f1 = _ratio(2 * precision * recall, precision + recall)
        texts = self.matrix.sum(axis=1)
        return {
            label: Quality(float(precision[at]), float(recall[at]), float(f1[at]), int(texts[at]))
            for at, label in enumerate(self.labels)
        }

    @property
    def overall(self) -> Quality:
        """The mean over the categories, each counting the same however many texts it has."""
        each = self.by_category.values()
        return Quality(
            precision=fmean(one.precision for one in each),
            recall=fmean(one.recall for one in each),
            f1=fmean(one.f1 for one in each),
            texts=sum(one.texts for one in each),
        )

    def draw(self, file: Path) -> None:
        """The confusion matrix as a PNG. Needs matplotlib."""
        from matplotlib.figure import Figure

        shares = _ratio(self.matrix, self.matrix.sum(axis=1, keepdims=True))
        side = 2.2 + 0.9 * len(self.labels)
        figure = Figure(figsize=(side, side), layout="constrained")
        axes = figure.subplots()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        ticks = range(len(self.labels))
        axes.set_xticks(ticks, self.labels, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(ticks, self.labels)
        axes.set(xlabel="predicted category", ylabel="true category")
        axes.set_title(f"{self.accuracy:.1%} of {self.matrix.sum():,} texts right")
        for (row, column), count in np.ndenumerate(self.matrix):
            colour = "white" if shares[row, column] > 0.5 else "black"
            text = f"{count}\n{shares[row, column]:.0%}"
            axes.text(column, row, text, ha="center", va="center", color=colour)
        figure.savefig(file, dpi=150)


def _ratio(part: Any, whole: Any) -> npt.NDArray[np.float64]:
    """`part / whole`, and 0 where the whole is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, dtype=float), np.asarray(whole, dtype=float))
    ratio: npt.NDArray[np.float64] = np.divide(part, whole, out=np.zeros(part.shape), where=whole != 0)
    return ratio
