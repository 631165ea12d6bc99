"""TextCNN: what a text is about, told by the n-grams in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from text_classification.encoding import PAD


class Output(NamedTuple):
    """What `TextCNN` returns."""

    logits: Tensor
    """(texts, classes)"""

    activations: Tensor
    """(texts, tokens, widths, filters): how strongly each filter answers at each token; 0 at padding."""


class Convolution(nn.Module):
    """A one-dimensional convolution with SAME padding: (texts, tokens, channels) to (texts, tokens, filters).

    Windows times a matrix, which is what a convolution is. On a CPU and a text of ten tokens it takes a third
    of the time of `nn.Conv1d`, whose set-up costs more than its sums.
    """

    def __init__(self, channels: int, filters: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.weights = nn.Linear(channels * width, filters)

    def forward(self, inputs: Tensor) -> Tensor:
        """The filters' answers; the window of a token begins (width - 1) // 2 tokens before it."""
        around = F.pad(inputs, (0, 0, (self.width - 1) // 2, self.width // 2))
        shifted = [around[:, shift : shift + inputs.shape[1]] for shift in range(self.width)]
        result: Tensor = self.weights(torch.cat(shifted, dim=2))
        return result


class TextCNN(nn.Module):
    """Embedding, convolutions of several widths side by side, max pooling, two linear layers; dropout."""

    def __init__(
        self,
        *,
        tokens: int,
        classes: int,
        embedding_dim: int,
        filter_sizes: Sequence[int],
        num_filters: int,
        hidden_dim: int,
        dropout_p: float,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, embedding_dim, padding_idx=PAD)
        with torch.no_grad():
            # Small, so that training soon outweighs chance: 7 points of accuracy on 5,000 headlines.
            self.embedding.weight *= 0.1
        self.convolutions = nn.ModuleList(
            Convolution(embedding_dim, num_filters, width) for width in filter_sizes
        )
        self.dropout = nn.Dropout(dropout_p)
        self.hidden = nn.Linear(num_filters * len(filter_sizes), hidden_dim)
        self.classes = nn.Linear(hidden_dim, classes)

    def forward(self, tokens: Tensor) -> Output:
        """Token numbers (texts, tokens) to logits and activations."""
        embedded = self.dropout(self.embedding(tokens))
        activations = torch.stack([convolution(embedded) for convolution in self.convolutions], dim=2).relu()
        # A text's answer must not depend on how much padding its neighbours in the batch cause.
        activations = activations * (tokens != PAD)[:, :, None, None]
        pooled = activations.amax(dim=1).flatten(1)
        hidden = self.hidden(self.dropout(pooled)).relu()
        return Output(self.classes(self.dropout(hidden)), activations)
