"""Where a handler is at home: its folder, its variables, its module path."""

import logging
import os
import sys
from typing import Container, Dict


def enter(model_dir: str, environment: Dict[str, str], ignored: Container[str] = ()) -> str:
    """Be where AWS's container would be for this model; its folder, as `model_fn` is told of it.

    Files that are `ignored` lie at the root of the model data without being the model's.
    """
    code_dir = os.path.join(model_dir, "code")
    model_dir = _model_folder(model_dir, ignored)
    os.environ.update(environment)
    inherited = os.environ.get("PYTHONPATH", "")
    path = list(dict.fromkeys([code_dir, model_dir, *(part for part in inherited.split(os.pathsep) if part)]))
    os.environ["PYTHONPATH"] = os.pathsep.join(path)
    sys.path[:0] = path
    # The folder is a copy of this instance's own, and gone with it: compiled files would never be read again.
    sys.dont_write_bytecode = True
    sys.argv = ["hotfire-worker"]
    os.chdir(model_dir)
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
    return model_dir


def _model_folder(given: str, ignored: Container[str]) -> str:
    """The folder itself, or the one that is alone in it: TorchServe takes that for the model's.

    So a model that consists of `code` only has its handler beside it, and is at home there.
    """
    entries = [entry for entry in os.listdir(given) if entry not in ignored]
    inner = os.path.join(given, entries[0]) if len(entries) == 1 else given
    return inner if os.path.isdir(inner) else given
