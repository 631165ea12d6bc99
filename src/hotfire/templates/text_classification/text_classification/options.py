"""The options of a training run, each declared once: for `train.py`, `sweep.py` and `config.json`."""

from __future__ import annotations

import argparse
import itertools
import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any

from text_classification.errors import UserError


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(width) for width in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 3 or 1,2,3") from None


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither yes nor no")
    return text == "yes"


def _option(default: Any, parse: Callable[[str], Any], help: str, *aliases: str) -> Any:
    return field(default=default, metadata={"parse": parse, "help": help, "aliases": aliases})


@dataclass(frozen=True)
class Options:
    """How to train. A value that cannot be used raises `UserError`."""

    data: str | None = _option(
        None,
        str,
        "CSV file or URL with the columns title and category (default: generated headlines)",
        "--data-url",
    )
    data_size: float = _option(
        1.0, float, "how much of the data: a share up to 1, or a number of rows above 1"
    )
    train_size: float = _option(0.7, float, "share of the rows to train on")
    val_size: float = _option(0.15, float, "share that decides when to stop")
    test_size: float = _option(0.15, float, "share that is looked at once, at the end")
    lower: bool = _option(True, _yes_or_no, "put texts in lower case")
    filters: str = _option(string.punctuation, str, "characters that count as blanks")
    shuffle: bool = _option(True, _yes_or_no, "shuffle the rows before they are split, and before each epoch")
    char_level: bool = _option(False, _yes_or_no, "tokens are characters, not words")
    use_glove: str | None = _option(None, str, "file of GloVe vectors to begin the embeddings with")
    freeze_embeddings: bool = _option(False, _yes_or_no, "leave the embeddings as they begin")
    filter_sizes: tuple[int, ...] = _option((1, 2, 3), _widths, "widths of the convolutions, in tokens")
    num_filters: int = _option(50, int, "filters of each width")
    embedding_dim: int = _option(100, int, "numbers that stand for a token")
    hidden_dim: int = _option(100, int, "size of the layer before the last")
    dropout_p: float = _option(0.3, float, "share of the values that a training step leaves out")
    learning_rate: float = _option(0.002, float, "size of the first steps")
    num_epochs: int = _option(30, int, "passes over the data, at most")
    batch_size: int = _option(64, int, "texts in a step")
    patience: int = _option(4, int, "epochs without a better validation loss before it stops")
    seed: int = _option(7, int, "the same seed gives the same model")
    cuda: bool = _option(False, _yes_or_no, "train on the GPU")

    def __post_init__(self) -> None:
        for name in ("num_filters", "embedding_dim", "hidden_dim", "num_epochs", "batch_size", "patience"):
            self._require(name, getattr(self, name) >= 1, "must be 1 or more")
        for name in ("data_size", "train_size", "val_size", "test_size", "learning_rate"):
            self._require(name, getattr(self, name) > 0, "must be above 0")
        self._require("filter_sizes", min(self.filter_sizes) >= 1, "must be 1 or more")
        self._require("dropout_p", 0 <= self.dropout_p < 1, "must be 0 or more and below 1")
        parts = self.train_size + self.val_size + self.test_size
        if parts > 1 + 1e-9:
            raise UserError(
                f"--train-size, --val-size and --test-size add up to {parts:g}; make it 1 or less"
            )

    def _require(self, name: str, holds: bool, must: str) -> None:
        if not holds:
            raise UserError(f"{flag(name)} {must}, and is {shown(getattr(self, name))}")

    def as_json(self) -> dict[str, Any]:
        """The options as `config.json` holds them."""
        return asdict(self)

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Options:
        """The options that `as_json` gave."""
        return cls(**{**saved, "filter_sizes": tuple(saved["filter_sizes"])})


class _Joined(argparse.Action):
    """`--filter-sizes 1 2 3` is `--filter-sizes 1,2,3`."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: Any = None) -> None:
        setattr(namespace, self.dest, tuple(itertools.chain.from_iterable(values)))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give a command line every option, each with one value."""
    for one in fields(Options):
        settings: dict[str, Any] = {"default": one.default, "help": _help(one)}
        if isinstance(one.default, bool):
            settings["action"] = argparse.BooleanOptionalAction
        elif isinstance(one.default, tuple):
            settings |= {"type": one.metadata["parse"], "nargs": "+", "action": _Joined, "metavar": "N"}
        else:
            settings |= {"type": one.metadata["parse"], "metavar": _metavar(one)}
        parser.add_argument(flag(one.name), *one.metadata["aliases"], dest=one.name, **settings)


def add_grid(parser: argparse.ArgumentParser) -> None:
    """Give a command line every option, each with one or more values."""
    for one in fields(Options):
        parser.add_argument(
            flag(one.name), *one.metadata["aliases"], dest=one.name, nargs="+", type=one.metadata["parse"],
            default=[one.default], metavar=_metavar(one), help=_help(one),
        )  # fmt: skip


def from_options(arguments: argparse.Namespace) -> Options:
    """The options of a command line that `add_options` described."""
    return Options(**{one.name: getattr(arguments, one.name) for one in fields(Options)})


def from_grid(arguments: argparse.Namespace) -> Iterator[tuple[dict[str, Any], Options]]:
    """Every combination of a command line that `add_grid` described, each after the values that vary."""
    names = [one.name for one in fields(Options)]
    values = [getattr(arguments, name) for name in names]
    for combination in itertools.product(*values):
        chosen = dict(zip(names, combination, strict=True))
        varied = {name: chosen[name] for name, several in zip(names, values, strict=True) if len(several) > 1}
        yield varied, Options(**chosen)


def flag(name: str) -> str:
    """An option's name as a command line says it."""
    return "--" + name.replace("_", "-")


def _metavar(one: Field[Any]) -> str:
    if isinstance(one.default, bool):
        return "yes|no"
    if isinstance(one.default, tuple):
        return "N,N"
    if one.default is None:
        return "FILE"
    return {str: "TEXT", int: "N", float: "X"}[one.metadata["parse"]]


def _help(one: Field[Any]) -> str:
    if one.default is None:
        return str(one.metadata["help"])
    # argparse would take a percent sign for a placeholder of its own.
    return f"{one.metadata['help']} (default: {shown(one.default)})".replace("%", "%%")


def shown(value: Any) -> str:
    """An option's value as a command line would say it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)
