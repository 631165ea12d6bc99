"""The log files."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from text_classification import config


@pytest.fixture
def package_logger() -> Iterator[logging.Logger]:
    """The package's logger, put back as it was."""
    logger = logging.getLogger("text_classification")
    before = logger.handlers, logger.level, logger.propagate
    yield logger
    for handler in logger.handlers:
        handler.close()
    logger.handlers, logger.level, logger.propagate = before


def test_a_full_log_file_makes_room(
    package_logger: logging.Logger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "logs" / "train.log"
    file.parent.mkdir()
    file.write_text("old\n" * 300_000, encoding="utf-8")
    config.set_up_logging(file)
    package_logger.info("new")
    assert (tmp_path / "logs" / "train.log.1").read_text(encoding="utf-8").startswith("old")
    assert file.read_text(encoding="utf-8").endswith("INFO text_classification: new\n")
    assert capsys.readouterr().out == "new\n"
