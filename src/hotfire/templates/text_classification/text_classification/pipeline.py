"""From options to an experiment: read, split, encode, train, evaluate, keep."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from text_classification import data, embeddings, experiments, progress, synthetic, training
from text_classification.config import EXPERIMENTS, TENSORBOARD
from text_classification.data import Headline, Split
from text_classification.encoding import LabelEncoder, Preprocessor, Tokenizer
from text_classification.errors import UserError
from text_classification.evaluation import Evaluation
from text_classification.experiments import Experiment
from text_classification.options import Options
from text_classification.prediction import Classifier
from text_classification.training import Epoch

log = logging.getLogger(__name__)


def run(options: Options, name: str, root: Path = EXPERIMENTS, tensorboard: Path = TENSORBOARD) -> Experiment:
    """Train a classifier, see how good it is, and keep it as an experiment under `root`."""
    if options.cuda and not torch.cuda.is_available():
        raise UserError("--cuda: torch finds no GPU here; leave it out to train on the CPU")
    # The tensors are too small to share among threads, and one thread adds up in the same order everywhere.
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    with experiments.new(root, name) as draft:
        parts = _read(options)
        classifier = _untrained(options, parts.train)
        epochs = _train(classifier, parts, options, tensorboard / draft.id)
        evaluation = _evaluate(classifier, parts.test)
        _write_json(draft.folder / "config.json", _config(draft.id, options))
        _write_json(draft.folder / "performance.json", _performance(evaluation, epochs))
        classifier.save(draft.folder)
        _draw(evaluation, draft.folder / "confusion_matrix.png")
    return experiments.find(root, draft.id)


def _read(options: Options) -> Split:
    rng = random.Random(options.seed) if options.shuffle else None
    rows = data.read(options.data) if options.data else synthetic.headlines()
    some = data.sampled(rows, options.data_size, rng)
    parts = data.split(some, train=options.train_size, val=options.val_size, test=options.test_size, rng=rng)
    log.info(
        "%s %s in %d categories: %s to train on, %s to validate, %s to test",
        f"{len(some):,}", "headlines" if options.data else "generated headlines",
        len({row.category for row in some}), *(f"{len(part):,}" for part in parts),
    )  # fmt: skip
    return parts


def _untrained(options: Options, rows: Sequence[Headline]) -> Classifier:
    preprocess = Preprocessor(options.lower, options.filters)
    tokenizer = Tokenizer.fit((preprocess(row.title) for row in rows), char_level=options.char_level)
    classifier = Classifier(options, tokenizer, LabelEncoder.fit(row.category for row in rows))
    embedding = classifier.model.embedding.weight
    if options.use_glove:
        vectors = embeddings.read_glove(options.use_glove, tokenizer.numbers, options.embedding_dim)
        with torch.no_grad():
            for number, vector in vectors.items():
                embedding[number] = vector
        log.info("%s: vectors of %d of %d tokens", options.use_glove, len(vectors), len(tokenizer))
    embedding.requires_grad_(not options.freeze_embeddings)
    return classifier


def _train(classifier: Classifier, parts: Split, options: Options, tensorboard: Path) -> list[Epoch]:
    model = classifier.model.to("cuda" if options.cuda else "cpu")
    weights = sum(each.numel() for each in model.parameters() if each.requires_grad)
    log.info("%s tokens, %s weights to train", f"{len(classifier.tokenizer):,}", f"{weights:,}")
    train, val = (_encoded(classifier, part) for part in (parts.train, parts.val))
    order = torch.Generator().manual_seed(options.seed) if options.shuffle else None
    with progress.scalars(tensorboard) as scalars:
        epochs = training.fit(
            model,
            train=progress.Bar(data.batches(train, options.batch_size, order)),
            val=data.batches(val, options.batch_size),
            learning_rate=options.learning_rate,
            num_epochs=options.num_epochs,
            patience=options.patience,
            reports=[progress.line, scalars],
        )
    best = min(epochs, key=lambda epoch: epoch.val.loss)
    log.info("epoch %2d   had the lowest validation loss: its weights are kept", best.number)
    model.to("cpu").eval()
    return epochs


def _encoded(classifier: Classifier, rows: Sequence[Headline]) -> list[tuple[list[int], int]]:
    tokens = (classifier.tokens(classifier.preprocess(row.title)) for row in rows)
    texts = map(classifier.tokenizer.encode, tokens)
    return list(zip(texts, classifier.labels.encode(row.category for row in rows), strict=True))


def _evaluate(classifier: Classifier, rows: Sequence[Headline]) -> Evaluation:
    """By way of `predict`, so that what is measured is what will answer."""
    predicted = (next(iter(one.probabilities)) for one in classifier.predict([row.title for row in rows]))
    encode = classifier.labels.encode
    return Evaluation.of(classifier.labels.labels, encode(row.category for row in rows), encode(predicted))


def _config(id: str, options: Options) -> dict[str, Any]:
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    return {"experiment_id": id, "created": now, "torch": torch.__version__, "options": options.as_json()}


def _performance(evaluation: Evaluation, epochs: Sequence[Epoch]) -> dict[str, Any]:
    return {
        "accuracy": evaluation.accuracy,
        "overall": asdict(evaluation.overall),
        "by_category": {label: asdict(quality) for label, quality in evaluation.by_category.items()},
        "confusion_matrix": evaluation.matrix.tolist(),
        "epochs": [asdict(epoch) for epoch in epochs],
    }


def _write_json(file: Path, value: object) -> None:
    file.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _draw(evaluation: Evaluation, file: Path) -> None:
    try:
        evaluation.draw(file)
    except ModuleNotFoundError:
        log.warning("no %s without matplotlib: pip install -r requirements-train.txt", file.name)
