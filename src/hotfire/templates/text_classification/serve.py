"""What the endpoint runs: SageMaker's inference toolkit calls these four functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sagemaker_inference.content_types import JSON
from sagemaker_inference.errors import UnsupportedFormatError
from sagemaker_inference.utils import parse_accept

from text_classification.prediction import Classifier, Prediction

_EXPECTED = 'expected a list of texts like [["one text"], ["another"]]'


def model_fn(model_dir: str) -> Classifier:
    """Load the model, once for each worker."""
    return Classifier.load(Path(model_dir))


def input_fn(body: str, content_type: str) -> list[str]:
    """The texts of a request: `[["one text"], ["another"]]`, or `["one text", "another"]`."""
    if content_type != JSON:
        raise UnsupportedFormatError(content_type)
    return [_text(number, row) for number, row in enumerate(_rows(json.loads(body)), 1)]


def predict_fn(texts: list[str], classifier: Classifier) -> list[Prediction]:
    """Answer all texts of a request together."""
    return classifier.predict(texts)


def output_fn(predictions: list[Prediction], accept: str) -> str:
    """One object for each text, in their order."""
    if JSON not in parse_accept(accept):
        raise UnsupportedFormatError(accept)
    return json.dumps(
        [{"probabilities": one.probabilities, "top_n_grams": one.top_n_grams} for one in predictions]
    )


def _rows(request: Any) -> list[Any]:
    if not isinstance(request, list):
        raise ValueError(f"{_EXPECTED}, not {_shown(request)}")
    return request


def _text(number: int, row: Any) -> str:
    text = row[0] if isinstance(row, list) and len(row) == 1 else row
    if not isinstance(text, str):
        raise ValueError(f"{_EXPECTED}; row {number} is {_shown(row)}")
    return text


def _shown(value: Any) -> str:
    # As ASCII: a message in other characters stalls AWS's server for two minutes.
    return json.dumps(value)[:80]
