"""Amazon SageMaker endpoints for PyTorch models on your own machine, and the same project to AWS."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hotfire.deploy_env import DeployEnv

__version__ = "0.1.0"
__all__ = ["DeployEnv", "__version__"]


def __getattr__(name: str) -> Any:
    """Import `DeployEnv` when it is first asked for, so that the command line does not pay for boto3."""
    if name == "DeployEnv":
        from hotfire.deploy_env import DeployEnv

        return DeployEnv
    raise AttributeError(f"module 'hotfire' has no attribute {name!r}")
