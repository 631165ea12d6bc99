"""Bring a project to its deployment environment: plan, act, wait, try the examples, clear up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from hotfire import autoscaling, hosting, plan, project, roles
from hotfire.calls import Call
from hotfire.deferred import Deferred, hand_in, wait
from hotfire.deploy_env import SERVING, DeployEnv
from hotfire.deployment import Deployment, LogEvent, Report, Status, Trial
from hotfire.destination import Carriage, Destination, Placement
from hotfire.endpoint_logs import events, last_exception
from hotfire.errors import DeployError, EndpointIncomplete
from hotfire.examples import Answer, Example, ExampleRequest, Verdict, load
from hotfire.hosting import hostings
from hotfire.inventory import Inventory
from hotfire.invocation import attempt, invoke, stream
from hotfire.leftovers import Leftovers
from hotfire.model_data import ModelData
from hotfire.plan import Existing, Plan
from hotfire.resources import DEV_TAG, MOVING
from hotfire.rollout import Rollout
from hotfire.settings_check import check_settings
from hotfire.wanted import COMMIT_TAG, HASH_TAG, PROJECT_TAG, Site, Wanted, model_of, tag_value, wanted

_LINES = 1_000
"""Of the log, which are read for a reason."""

Agree = Callable[[Deployment], None]
"""Is shown what is to be done before anything is, and raises to stop it."""


class Deployer:
    """The endpoint of one deployment environment, at its destination."""

    def __init__(self, env: DeployEnv, destination: Destination, report: Report) -> None:
        self._env, self._destination, self._report = env, destination, report
        self._environment = env.environment
        self._name = self._environment.model_name
        self._project = tag_value(self._environment.project)
        self._clients: dict[str, Any] = {}
        self._rollouts: list[Rollout] = []
        self.uploading = False
        """Whether model data is on its way; what is interrupted then goes on with the next deploy."""
        self.is_trying_out = False
        """Whether all is done but for the examples, which are being sent."""
        self.is_update = False
        """Whether another version served before the one that is brought there."""

    @property
    def under_way(self) -> bool:
        """Whether a deployment goes on without us: so when a wait is interrupted."""
        return any(rollout.under_way for rollout in self._rollouts)

    def check(self) -> None:
        """Raise ConfigError for settings that SageMaker would refuse; asks nobody."""
        check_settings(self._environment, self._client("sagemaker").meta)

    def introduction(self) -> str:
        """Where this is and who asks, in a line; empty on this machine."""
        return self._destination.introduction()

    def deploy(
        self,
        *,
        dry_run: bool = False,
        adopt: bool = False,
        archive: Path | None = None,
        agree: Agree | None = None,
    ) -> Deployment:
        """Make the endpoint what the project is now, or the archive. Nothing is changed by a dry run.

        Raises ProjectError, ArchiveError before any call; ForeignEndpoint; DeployError for a call that
        failed, EndpointFailed for a model that does not load: then all that this deploy made is gone again.
        The examples are sent in any case but a dry run's. One that fails is told by its verdict; the
        deployment stays.
        """
        begun, since = time.monotonic(), time.time()
        if not dry_run:
            self._destination.prepare()
        examples = load(self._environment.examples)
        with self._data(archive) as data:
            placement = self._destination.locate(data)
            carriage = self._destination.carriage(data, self._report, dry_run=dry_run)
            for note in (*data.notes, *filter(None, (placement.note, carriage.note))):
                self._report.log(note)
            goal, existing = self._goal(data, placement, carriage), self._existing()
            before = (*carriage.steps, *placement.steps)
            result = self._proposal(goal, data, placement, before, existing, adopt=adopt)
            if result.changed and not dry_run:
                if agree is not None:
                    agree(result)
                self._destination.carry(data, carriage, self._report)
                self._act(result, data, placement, existing)
            if not dry_run:
                # Also where nothing has changed: they may have failed, or never have been sent.
                self.is_trying_out = True
                result = replace(result, verdicts=tuple(self._try_out(examples)))
                result = replace(result, cause=self._cause(result, existing, since))
                self.is_trying_out = False
                if result.passed:
                    self._clear_up(result, existing)
        return replace(result, seconds=time.monotonic() - begun)

    def rollback(self) -> Deployment:
        """Go back to what was deployed before. Raises DeployError if there is nothing before."""
        begun = time.monotonic()
        existing = self._existing(owned=True)
        target = plan.previous(self._name, self._project, existing)
        variants = self._inventory().variants(target.name)
        steps = plan.rollback(self._name, target, variants, existing)
        self._carry_out(target.name, steps, existing, {})
        result = self._deployment(target.name, target.tags.get(HASH_TAG, ""), steps, existing)
        return replace(result, seconds=time.monotonic() - begun)

    def delete(self) -> tuple[str, ...]:
        """Remove the endpoint with its configs, models and model data; what was done, a line each."""
        existing = self._existing(owned=True)
        steps = plan.delete(self._name, self._project, existing)
        self._rollout().apply(steps.calls)
        removed = self._leftovers.remove(self._leftovers.of_all())
        return (*(call.text for call in steps.calls), *removed, *self._destination.remove_images())

    def status(self) -> Status:
        """The endpoint as it is, at once."""
        client = self._env.client_for("sagemaker")
        inventory = Inventory(client)
        found = inventory.endpoint(self._name)
        if found is None:
            return Status(self._name)
        tags = inventory.tags(found["EndpointArn"])
        config = inventory.config(found["EndpointConfigName"])
        made_of = _made_of(tags, inventory.tags(config["EndpointConfigArn"]) if config else tags)
        variants = _variants(config, found)
        return Status(
            endpoint=self._name,
            state=found["EndpointStatus"],
            reason=found.get("FailureReason", ""),
            config=found["EndpointConfigName"],
            model=next((variant.get("ModelName") for variant in variants), None),
            sha256=made_of.get(HASH_TAG),
            commit=made_of.get(COMMIT_TAG) or None,
            working_sha256=project.working_sha256(self._environment),
            owner=tags.get(PROJECT_TAG),
            variants=tuple(variants),
            created=found["CreationTime"].timestamp(),
            modified=found["LastModifiedTime"].timestamp(),
            url=self._destination.page(),
            developer=int(tags[DEV_TAG]) if DEV_TAG in tags else None,
        )

    def run_examples(self) -> tuple[Trial, ...]:
        """Send every example and compare, in their order. Raises DeployError if none can be sent."""
        return tuple(attempt(example, self.ask) for example in load(self._environment.examples))

    def ask(self, request: ExampleRequest) -> Answer:
        """One request; an asynchronous endpoint answers it when its turn comes. Raises DeployError."""
        if self._environment.async_ is not None:
            return self.outcome(self.hand_in(request))
        return invoke(self._client("sagemaker-runtime"), self._name, request)

    def stream(self, request: ExampleRequest) -> tuple[Answer, Iterator[bytes]]:
        """One request, whose answer comes in parts: what is known before the first, and the parts."""
        return stream(self._client("sagemaker-runtime"), self._name, request)

    def hand_in(self, request: ExampleRequest, location: str | None = None) -> Deferred:
        """One request to an asynchronous endpoint, whose body may lie elsewhere. Raises DeployError."""
        return hand_in(self._client("sagemaker-runtime"), self._name, request, location)

    def outcome(self, deferred: Deferred) -> Answer:
        """What came of such a request, when there is something. Raises DeployError if nothing comes."""
        return wait(deferred, lambda: self._client("s3"))

    def log_events(
        self, since: float | None = None, *, lines: int | None = None, follow: bool = False
    ) -> Iterator[LogEvent]:
        """What the endpoint printed since then (seconds since the epoch), and with `follow` all to come.

        `lines` leaves the last so many of those that are there.
        """
        pace = self._destination.pace.seconds if follow else None
        return events(self._client("logs"), self._name, since, lines=lines, follow=pace)

    def _client(self, service: str) -> Any:
        """A client that waits where the region lets it wait."""
        if service not in self._clients:
            self._clients[service] = self._env.client_for(service, at_once=False)
        return self._clients[service]

    def _inventory(self) -> Inventory:
        return Inventory(self._client("sagemaker"))

    def _rollout(self) -> Rollout:
        self._rollouts.append(Rollout(self._client, self._report, self._name, self._destination.pace))
        return self._rollouts[-1]

    def _data(self, archive: Path | None) -> AbstractContextManager[ModelData]:
        if archive is None:
            return nullcontext(project.collected(self._environment))
        return project.unpacked(self._environment, archive)

    def _goal(self, data: ModelData, placement: Placement, carriage: Carriage) -> Wanted:
        region_name = self._client("sagemaker").meta.region_name
        role_arn = roles.arn(self._client("iam"), self._environment.role())
        caller, image = self._destination.caller(), carriage.image
        site = Site(region_name, role_arn, placement.members, caller, image)
        return wanted(self._environment, data, site, project.commit(self._environment.root))

    def _proposal(
        self,
        goal: Wanted,
        data: ModelData,
        placement: Placement,
        before: tuple[str, ...],
        existing: Existing,
        *,
        adopt: bool,
    ) -> Deployment:
        """What is to be done."""
        steps = plan.plan(goal, existing, adopt=adopt)
        result = self._deployment(goal.config, data.sha256, steps, existing)
        if steps.is_empty:
            return result
        cost, after = self._cost(goal, existing), self._leftovers.of_plan(steps, existing, placement.url)
        return replace(result, before=before, after=after, cost=cost)

    def _cost(self, goal: Wanted, existing: Existing) -> str:
        """What is to be paid for that was not before."""
        if not self._destination.charges:
            return ""
        there = self._inventory().variants(existing.config or "") if existing.config else []
        now = hostings(there) if existing.status not in (None, "Failed") else ()
        then = hostings(goal.create_config["ProductionVariants"])
        most = goal.autoscaling.max if goal.autoscaling else 0
        if now == then and most <= autoscaling.most(existing.tags):
            return ""
        return hosting.change(now, then, most, self._client("sagemaker").meta.region_name)

    def _existing(self, *, owned: bool = False) -> Existing:
        """What is there, when nothing moves any more: another deploy may be under way."""
        inventory = self._inventory()

        def read() -> Existing:
            if owned:
                return inventory.read_owned(self._name, self._project)
            return inventory.read(self._name)

        existing = read()
        if existing.status not in MOVING:
            return existing
        self._rollout().settled()
        return read()

    def _deployment(self, config: str, sha256: str, steps: Plan, existing: Existing) -> Deployment:
        previous = existing.config if existing.status in SERVING and existing.config != config else None
        return Deployment(
            endpoint=self._name,
            config=config,
            model=model_of(config),
            sha256=sha256,
            changed=not steps.is_empty,
            plan=steps,
            previous=previous,
            url=self._destination.page(),
        )

    def _act(self, proposal: Deployment, data: ModelData, placement: Placement, existing: Existing) -> None:
        """Bring the model data there, and then the endpoint to its config."""
        serves = existing.status in SERVING and existing.config is not None
        previous = self._inventory().model_data(model_of(existing.config or "")) if serves else None
        self.uploading = True
        self._destination.put(data, placement, self._report, previous)
        self.uploading = False
        sources = {entry.place: entry.source for entry in data.entries}
        try:
            self._carry_out(proposal.config, proposal.plan, existing, sources)
        except DeployError:
            if placement.steps:
                self._leftovers.remove(self._leftovers.of_failure(placement.url))
            raise

    def _carry_out(self, config: str, steps: Plan, existing: Existing, sources: Mapping[str, Path]) -> None:
        """Make the endpoint serve the config, and tag it."""
        self.is_update = existing.status is not None
        rollout = self._rollout()
        if steps.moves:
            rollout.bring(config, steps.calls, existing, sources)
        else:
            rollout.apply(steps.calls)
        self._follow_up(call for call in steps.afterwards if call.operation == "AddTags")
        self._complete(steps)

    def _complete(self, steps: Plan) -> None:
        """What an endpoint that is in service still needs."""
        calls = steps.in_service
        if any(call.params.get("ResourceArn") == "" for call in calls):
            found = self._inventory().endpoint(self._name) or {}
            arn = {"ResourceArn": found.get("EndpointArn", "")}
            calls = tuple(
                replace(call, params={**call.params, **arn}) if "ResourceArn" in call.params else call
                for call in calls
            )
        try:
            self._rollout().apply(calls)
        except DeployError as error:
            message = f"{self._name} is in service, but not all of it was done: {error.message}"
            raise EndpointIncomplete(
                message, f"{error.advice} The next deploy tries it again.".strip()
            ) from error

    def _try_out(self, examples: list[Example]) -> Iterator[Verdict]:
        """Show the examples on the endpoint's page, and send each; one that does not get there fails."""
        self._destination.show(examples)
        if not examples:
            self._report.log(f"There are no examples in {self._environment.examples}: nothing was sent.")
        for example in examples:
            try:
                yield attempt(example, self.ask).verdict
            except DeployError as error:
                yield Verdict(example.name, (error.message,), has_answer=False)

    def _cause(self, done: Deployment, existing: Existing, since: float) -> str:
        """What the container printed of why an example had no answer: its server may be ready all the same.

        What this deploy, which began at `since`, did not make anew is older than that.
        """
        if not self._environment.has_image or all(verdict.has_answer for verdict in done.verdicts):
            return ""
        made = next((made.created for made in existing.configs if made.name == done.config), since)
        with suppress(DeployError):
            return last_exception(event.message for event in self.log_events(made, lines=_LINES))
        return ""

    def _clear_up(self, done: Deployment, existing: Existing) -> None:
        """Remove what nothing needs any more, if it is ours."""
        inventory = self._inventory()
        arns = {made.name: made.arn for made in (*existing.configs, *existing.models)}

        def is_ours(call: Call) -> bool:
            arn = arns.get(next(iter(call.params.values())))
            return arn is not None and inventory.tags(arn).get(PROJECT_TAG) == self._project

        self._follow_up(call for call in done.plan.afterwards if is_ours(call))
        self._leftovers.remove(done.after)

    @property
    def _leftovers(self) -> Leftovers:
        return Leftovers(self._destination, self._inventory(), self._report, self._name)

    def _follow_up(self, calls: Iterable[Call]) -> None:
        """Calls without which the deploy has succeeded all the same."""
        try:
            self._rollout().apply(calls)
        except DeployError as error:
            self._report.log(f"This was not done: {error.message}")


def _made_of(endpoint: dict[str, str], config: dict[str, str]) -> dict[str, str]:
    """The tags that say what serves: a deploy that was interrupted has not given the endpoint its own."""
    return endpoint if endpoint.get(HASH_TAG) == config.get(HASH_TAG) else config


def _variants(config: dict[str, Any], found: dict[str, Any]) -> list[dict[str, Any]]:
    """The variants of the config, each with what DescribeEndpoint says of it."""
    given = config.get("ProductionVariants", ())
    now = {variant["VariantName"]: variant for variant in found.get("ProductionVariants", ())}
    return [{**variant, **now.pop(variant["VariantName"], {})} for variant in given] + list(now.values())
