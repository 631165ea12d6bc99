"""The network."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from text_classification.encoding import PAD
from text_classification.models import Convolution, TextCNN


def small_model() -> TextCNN:
    """A model of 20 tokens and 4 classes."""
    torch.manual_seed(1)
    model = TextCNN(
        tokens=20,
        classes=4,
        embedding_dim=6,
        filter_sizes=(1, 2, 5),
        num_filters=3,
        hidden_dim=7,
        dropout_p=0.5,
    )
    return model.eval()


def test_the_convolution_is_a_convolution_with_same_padding() -> None:
    ours, texts = Convolution(channels=6, filters=3, width=3), torch.randn(2, 8, 6)
    weight = ours.weights.weight.view(3, 3, 6).transpose(1, 2)
    expected = F.conv1d(texts.transpose(1, 2), weight, ours.weights.bias, padding="same").transpose(1, 2)
    torch.testing.assert_close(ours(texts), expected)


def test_it_returns_logits_and_each_filters_activations() -> None:
    output = small_model()(torch.randint(1, 20, (2, 8)))
    assert output.logits.shape == (2, 4)
    assert output.activations.shape == (2, 8, 3, 3)


def test_padding_changes_nothing() -> None:
    model, text = small_model(), torch.randint(1, 20, (1, 4))
    longer = torch.cat([text, torch.full((1, 6), PAD)], dim=1)
    torch.testing.assert_close(model(longer).logits, model(text).logits)


def test_a_text_may_be_shorter_than_the_widest_filter() -> None:
    assert small_model()(torch.tensor([[3]])).logits.isfinite().all()
