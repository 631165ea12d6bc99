"""Fitting a model: Adam, a plateau schedule, early stopping."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.lr_scheduler import ReduceLROnPlateau

from text_classification.data import Batch
from text_classification.encoding import PAD, UNKNOWN
from text_classification.errors import UserError
from text_classification.models import TextCNN

_UNKNOWN_SHARE = 0.1


@dataclass(frozen=True)
class Score:
    """Mean loss and accuracy over some texts."""

    loss: float
    accuracy: float


@dataclass(frozen=True)
class Epoch:
    """One pass over the training data, and where the model stands after it."""

    number: int
    train: Score
    val: Score
    learning_rate: float


def fit(
    model: TextCNN,
    *,
    train: Iterable[Batch],
    val: Iterable[Batch],
    learning_rate: float,
    num_epochs: int,
    patience: int,
    reports: Sequence[Callable[[Epoch], None]],
) -> list[Epoch]:
    """Train until the validation loss has not fallen for `patience` epochs, and go back to the best epoch."""
    optimizer = torch.optim.Adam(
        [weights for weights in model.parameters() if weights.requires_grad], lr=learning_rate
    )
    schedule = ReduceLROnPlateau(optimizer, factor=0.3, patience=patience // 3)
    epochs: list[Epoch] = []
    lowest, best_number, best_weights = math.inf, 0, model.state_dict()
    for number in range(1, num_epochs + 1):
        rate = optimizer.param_groups[0]["lr"]
        epoch = Epoch(number, score(model, train, optimizer), score(model, val), rate)
        epochs.append(epoch)
        for report in reports:
            report(epoch)
        if not math.isfinite(epoch.val.loss):
            raise UserError(f"the loss is {epoch.val.loss} after epoch {number}: lower --learning-rate")
        if epoch.val.loss < lowest:
            lowest, best_number, best_weights = epoch.val.loss, number, copy.deepcopy(model.state_dict())
        elif number - best_number >= patience:
            break
        schedule.step(epoch.val.loss)
    model.load_state_dict(best_weights)
    return epochs


def score(model: TextCNN, batches: Iterable[Batch], optimizer: torch.optim.Optimizer | None = None) -> Score:
    """Loss and accuracy over all batches; with an optimizer, each batch is also a step of training."""
    device = next(model.parameters()).device
    model.train(optimizer is not None)
    loss_sum, right, texts = 0.0, 0, 0
    with torch.set_grad_enabled(optimizer is not None):
        for batch in batches:
            classes = batch.classes.to(device)
            tokens = batch.tokens.to(device)
            logits = model(tokens if optimizer is None else _with_gaps(tokens)).logits
            loss = F.cross_entropy(logits, classes)
            if optimizer is not None:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            loss_sum += loss.item() * len(classes)
            right += int((logits.argmax(dim=1) == classes).sum())
            texts += len(classes)
    return Score(loss_sum / texts, right / texts)


def _with_gaps(tokens: Tensor) -> Tensor:
    """One token in ten made unknown: that is how the model learns what to make of a word it never saw."""
    forgotten = (torch.rand(tokens.shape, device=tokens.device) < _UNKNOWN_SHARE) & (tokens != PAD)
    return tokens.masked_fill(forgotten, UNKNOWN)
