"""A small trained model: predictions, the handler, the FastAPI app."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from text_classification.experiments import Experiment
from text_classification.prediction import Classifier

JSON = "application/json"


@pytest.fixture(scope="module")
def classifier(experiment: Experiment) -> Classifier:
    """The small experiment's."""
    return Classifier.load(experiment.folder)


@pytest.mark.parametrize("text", ["", "   ", "!?", "x", "Flurbish zwock", "Öl fällt 石油", "oil " * 5000])
def test_any_text_gets_every_category(classifier: Classifier, text: str) -> None:
    (prediction,) = classifier.predict([text])
    assert set(prediction.probabilities) == {"Business", "Sci/Tech", "Sports", "World"}
    assert sum(prediction.probabilities.values()) == pytest.approx(1)


def test_probabilities_are_sorted(classifier: Classifier) -> None:
    (prediction,) = classifier.predict(["Oil prices fall"])
    assert list(prediction.probabilities.values()) == sorted(prediction.probabilities.values(), reverse=True)


def test_a_text_is_answered_alike_alone_and_in_company(classifier: Classifier) -> None:
    texts = ["Oil prices fall", "The new federal law was signed by the president last night", ""] * 99
    for together, text in zip(classifier.predict(texts), texts, strict=True):
        (alone,) = classifier.predict([text])
        assert together.probabilities == pytest.approx(alone.probabilities, abs=1e-6)


def test_n_grams_are_pieces_of_the_text(classifier: Classifier) -> None:
    (prediction,) = classifier.predict(["Oil prices fall on Monday"])
    assert list(prediction.top_n_grams) == ["1", "2", "3"]
    for width, n_grams in prediction.top_n_grams.items():
        assert 1 <= len(n_grams) <= 3
        assert all(n_gram in prediction.preprocessed_input for n_gram in n_grams)
        assert all(len(n_gram.split()) <= int(width) for n_gram in n_grams)
        assert sum(n_grams.values()) <= classifier.options.num_filters


def test_nothing_has_no_n_grams(classifier: Classifier) -> None:
    assert classifier.predict([""])[0].top_n_grams == {"1": {}, "2": {}, "3": {}}


def test_no_texts_have_no_predictions(classifier: Classifier) -> None:
    assert classifier.predict([]) == []


@pytest.mark.parametrize("body", ['[["Oil falls"], ["Gold rises"]]', '["Oil falls", "Gold rises"]'])
def test_the_handler_answers_each_text(experiment: Experiment, body: str) -> None:
    serve = pytest.importorskip("serve")
    model = serve.model_fn(str(experiment.folder))
    answer = json.loads(serve.output_fn(serve.predict_fn(serve.input_fn(body, JSON), model), JSON))
    assert [sorted(one) for one in answer] == [["probabilities", "top_n_grams"]] * 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"text": "Oil falls"}', 'not {"text": "Oil falls"}'),
        ('[["Oil falls"], 5]', "row 2 is 5"),
        ('[["Oil falls", "Gold rises"]]', 'row 1 is ["Oil falls", "Gold rises"]'),
    ],
)
def test_the_handler_says_what_it_expects(body: str, message: str) -> None:
    serve = pytest.importorskip("serve")
    with pytest.raises(ValueError, match=r"expected a list of texts like \[\[") as error:
        serve.input_fn(body, JSON)
    assert message in str(error.value)


def test_the_handler_knows_json_alone(classifier: Classifier) -> None:
    serve = pytest.importorskip("serve")
    from sagemaker_inference.errors import UnsupportedFormatError

    with pytest.raises(UnsupportedFormatError):
        serve.input_fn("Oil falls", "text/csv")
    with pytest.raises(UnsupportedFormatError):
        serve.output_fn(classifier.predict(["Oil falls"]), "text/csv")


def test_the_app_answers_as_the_model_does(
    experiment: Experiment, root: Path, classifier: Classifier
) -> None:
    httpx, app = pytest.importorskip("httpx"), pytest.importorskip("app")

    async def ask(method: str, path: str, body: Any = None) -> Any:
        transport = httpx.ASGITransport(app=app.build(root))
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            return await client.request(method, path, json=body)

    answer = asyncio.run(ask("POST", "/predict", {"inputs": [{"text": "Oil falls"}]})).json()
    assert answer["experiment_id"] == experiment.id
    assert answer["predictions"] == [asdict(one) for one in classifier.predict(["Oil falls"])]
    assert asyncio.run(ask("GET", "/experiments")).json()[0]["id"] == experiment.id
    assert asyncio.run(ask("GET", "/experiment/details/none")).status_code == 404
