"""By whom the requests of a command are signed."""

from __future__ import annotations

from hotfire.deploy_env import DeployEnv
from hotfire.environment import Environment


def interruptible(environment: Environment) -> DeployEnv:
    """The environment's clients, which Ctrl-C ends at any moment.

    Where awscrt is installed, botocore signs by it. A Ctrl-C that comes while C calls back into Python is
    lost there, or ends as an error of awscrt's.
    """
    from botocore import auth

    auth.AUTH_TYPE_MAPS.update(
        {
            "v4": auth.SigV4Auth,
            "v4-query": auth.SigV4QueryAuth,
            "s3v4": auth.S3SigV4Auth,
            "s3v4-query": auth.S3SigV4QueryAuth,
        }
    )
    return DeployEnv.of(environment)
