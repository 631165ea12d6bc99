"""Amazon SageMaker endpoints for PyTorch models on your own machine, and the same project to AWS."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hotfire.deploy_env import DeployEnv
    from hotfire.local import use_local

__version__ = "0.1.0"
__all__ = ["DeployEnv", "__version__", "use_local"]

_PLACES = {"DeployEnv": "hotfire.deploy_env", "use_local": "hotfire.local"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that the command line does not pay for boto3."""
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'hotfire' has no attribute {name!r}")
