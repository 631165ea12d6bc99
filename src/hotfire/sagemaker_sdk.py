"""The SageMaker SDK for Python as this process has it: version 2, version 3, or none."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from hotfire.errors import PackageMissing


def session_class() -> Any:
    """The class of its sessions. Raises PackageMissing.

    Both versions are called `sagemaker`, and both make a session of the same arguments.
    """
    if find_spec("sagemaker") is None:
        message = "the SageMaker SDK is not installed in this Python"
        raise PackageMissing(
            message, 'Install it: `pip install sagemaker` (or `"sagemaker<3"` for version 2).'
        )
    name = "sagemaker" if find_spec("sagemaker.core") is None else "sagemaker.core.helper.session_helper"
    return import_module(name).Session


def forget_clients() -> None:
    """Have version 3, if it is imported, make its clients anew when it needs them next."""
    import sys

    module = sys.modules.get("sagemaker.core.utils.utils")
    reset = getattr(getattr(module, "SageMakerClient", None), "reset", None)
    if reset is not None:
        reset()
