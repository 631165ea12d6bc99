"""One small experiment for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from text_classification import pipeline
from text_classification.experiments import Experiment
from text_classification.options import Options


@pytest.fixture(scope="session")
def options() -> Options:
    """So small that it trains in a second."""
    return Options(data_size=400, num_epochs=3, num_filters=8, embedding_dim=16, hidden_dim=16)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of experiments."""
    return tmp_path_factory.mktemp("experiments")


@pytest.fixture(scope="session")
def experiment(options: Options, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """A finished run."""
    return pipeline.run(options, "small", root, tmp_path_factory.mktemp("tensorboard"))
