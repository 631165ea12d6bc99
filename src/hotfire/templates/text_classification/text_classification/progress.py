"""What a run shows while it goes on: lines, bars on a terminal, TensorBoard scalars."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from text_classification.training import Epoch

log = logging.getLogger(__name__)

T = TypeVar("T")


class Bar(Generic[T]):
    """Goes through `batches` as often as asked, with a bar where someone watches."""

    def __init__(self, batches: Iterable[T]) -> None:
        self._batches = batches
        self._is_shown = sys.stderr.isatty() and _has_tqdm()

    def __iter__(self) -> Iterator[T]:
        if not self._is_shown:
            return iter(self._batches)
        from tqdm import tqdm

        return iter(tqdm(self._batches, leave=False, unit=" batches"))


def _has_tqdm() -> bool:
    there = importlib.util.find_spec("tqdm") is not None
    if not there:
        log.info("no progress bars without tqdm: pip install -r requirements-train.txt")
    return there


def line(epoch: Epoch) -> None:
    """Log an epoch."""
    log.info(
        "epoch %2d   train: loss %.3f, accuracy %5.1f%%   validation: loss %.3f, accuracy %5.1f%%",
        epoch.number, epoch.train.loss, 100 * epoch.train.accuracy, epoch.val.loss, 100 * epoch.val.accuracy,
    )  # fmt: skip


@contextmanager
def scalars(folder: Path) -> Iterator[Callable[[Epoch], None]]:
    """What writes an epoch's numbers for TensorBoard; nothing where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError:
        yield lambda epoch: None
        return
    with SummaryWriter(folder) as writer:

        def write(epoch: Epoch) -> None:
            for part, score in (("train", epoch.train), ("validation", epoch.val)):
                writer.add_scalar(f"loss/{part}", score.loss, epoch.number)
                writer.add_scalar(f"accuracy/{part}", score.accuracy, epoch.number)
            writer.add_scalar("learning rate", epoch.learning_rate, epoch.number)

        yield write
