"""Bring a project to its deployment environment: plan, act, wait, try the examples, clear up."""

from __future__ import annotations

from collections.abc import Iterator

from hotfire.address import Address
from hotfire.deploy_env import DeployEnv
from hotfire.deployment import Deployment, LogEvent, Report, Status
from hotfire.examples import Answer, Verdict


class Deployer:
    """The endpoint of one deployment environment. `region` is the local region, None at AWS."""

    def __init__(self, env: DeployEnv, region: Address | None, report: Report) -> None:
        self._env, self._region, self._report = env, region, report
        self.under_way = False
        """Whether a deployment goes on without us: so when a wait is interrupted."""

    def deploy(self, *, dry_run: bool = False, adopt: bool = False) -> Deployment:
        """Make the endpoint what the project is now. Nothing is changed by a dry run.

        Raises ProjectError, ArchiveError before any call; ForeignEndpoint; DeployError for a call that
        failed, EndpointFailed for a model that does not load: then all that this deploy made is gone again.
        An example that fails is told by its verdict; the deployment stays.
        """
        raise NotImplementedError

    def rollback(self) -> Deployment:
        """Go back to what was deployed before. Raises DeployError if there is nothing before."""
        raise NotImplementedError

    def delete(self) -> tuple[str, ...]:
        """Remove the endpoint with its configs and models; what was done, a line each."""
        raise NotImplementedError

    def status(self) -> Status:
        """The endpoint as it is."""
        raise NotImplementedError

    def run_examples(self) -> tuple[tuple[Verdict, Answer], ...]:
        """Send every example and compare, in their order."""
        raise NotImplementedError

    def invoke(
        self,
        body: bytes,
        content_type: str = "application/json",
        accept: str | None = None,
        **more: str | None,
    ) -> Answer:
        """One request; `more` are the other members of an ExampleRequest."""
        raise NotImplementedError

    def log_events(self, since: float | None = None, *, follow: bool = False) -> Iterator[LogEvent]:
        """What the endpoint printed since then (seconds since the epoch), and with `follow` all to come."""
        raise NotImplementedError
