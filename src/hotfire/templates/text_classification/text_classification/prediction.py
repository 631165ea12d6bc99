"""A trained model with all that it needs to answer: `Classifier`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import torch

from text_classification.encoding import LabelEncoder, Preprocessor, Tokenizer, padded
from text_classification.models import TextCNN
from text_classification.options import Options

N_GRAMS = 3
"""How many n-grams are named for each width of filters."""

_TOKENS_AT_MOST = 512
"""The rest of a longer text is not looked at: one request must not take all memory."""

_TEXTS_AT_ONCE = 256


@dataclass(frozen=True)
class Prediction:
    """What the model says of one text.

    `probabilities` has every category, the most probable first.

    `top_n_grams` shows what the model looked at. Max pooling keeps the strongest answer of each filter, and
    that is to one n-gram of the text: for each width of filters, these are the n-grams that most filters
    chose, with the number of those filters. A filter that answers to nothing in the text chooses none.
    """

    raw_input: str
    preprocessed_input: str
    probabilities: dict[str, float]
    top_n_grams: dict[str, dict[str, int]]


class Classifier:
    """Texts to predictions. It does not change when it predicts: threads may share it."""

    def __init__(self, options: Options, tokenizer: Tokenizer, labels: LabelEncoder) -> None:
        self.options = options
        self.preprocess = Preprocessor(options.lower, options.filters)
        self.tokenizer = tokenizer
        self.labels = labels
        self.model = TextCNN(
            tokens=len(tokenizer),
            classes=len(labels),
            embedding_dim=options.embedding_dim,
            filter_sizes=options.filter_sizes,
            num_filters=options.num_filters,
            hidden_dim=options.hidden_dim,
            dropout_p=options.dropout_p,
        )

    @classmethod
    def load(cls, folder: Path) -> Classifier:
        """The classifier of an experiment's folder, on the CPU, ready to predict."""
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        classifier = cls(
            Options.from_json(config["options"]),
            Tokenizer.load(folder / "X_tokenizer.json"),
            LabelEncoder.load(folder / "y_tokenizer.json"),
        )
        weights = torch.load(folder / "weights.pt", map_location="cpu", weights_only=True)
        classifier.model.load_state_dict(weights)
        classifier.model.eval()
        return classifier

    def save(self, folder: Path) -> None:
        """Write the weights and encoders that `load` reads, beside the `config.json` that is there."""
        self.tokenizer.save(folder / "X_tokenizer.json")
        self.labels.save(folder / "y_tokenizer.json")
        torch.save(self.model.state_dict(), folder / "weights.pt")

    def tokens(self, preprocessed: str) -> list[str]:
        """What the model reads of a preprocessed text."""
        return self.tokenizer.split(preprocessed)[:_TOKENS_AT_MOST]

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """A prediction for each text, whatever it holds: unknown words, or nothing."""
        predictions = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            predictions += self._predict(texts[start : start + _TEXTS_AT_ONCE])
        return predictions

    def _predict(self, texts: Sequence[str]) -> list[Prediction]:
        preprocessed = [self.preprocess(text) for text in texts]
        tokens = [self.tokens(text) for text in preprocessed]
        with torch.inference_mode():
            logits, activations = self.model(padded([self.tokenizer.encode(each) for each in tokens]))
            probabilities = logits.softmax(dim=1).tolist()
            strongest, places = activations.max(dim=1)
            choices = places.masked_fill_(strongest <= 0, -1).tolist()
        return [
            Prediction(raw, text, self._by_category(shares), self._n_grams(words, chosen))
            for raw, text, words, shares, chosen in zip(
                texts, preprocessed, tokens, probabilities, choices, strict=True
            )
        ]

    def _by_category(self, probabilities: list[float]) -> dict[str, float]:
        ranked = sorted(zip(probabilities, self.labels.labels, strict=True), reverse=True)
        return {label: probability for probability, label in ranked}

    def _n_grams(self, tokens: list[str], choices: list[list[int]]) -> dict[str, dict[str, int]]:
        """`choices`: for each width, the place in `tokens` that each filter chose, or -1."""
        named = {}
        for width, places in zip(self.options.filter_sizes, choices, strict=True):
            votes: dict[str, int] = {}
            for place, filters in sorted(Counter(places).items()):
                if place >= 0:
                    start = place - (width - 1) // 2
                    n_gram = self.tokenizer.join(tokens[max(0, start) : start + width])
                    votes[n_gram] = votes.get(n_gram, 0) + filters
            named[str(width)] = dict(sorted(votes.items(), key=itemgetter(1), reverse=True)[:N_GRAMS])
        return named
