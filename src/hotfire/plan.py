"""Which calls make, go back from or remove a deployment, and in which order; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hotfire import autoscaling
from hotfire.calls import Call, add_tags, tag_list
from hotfire.errors import DeployError, ForeignEndpoint
from hotfire.wanted import CALLER_TAG, COMMIT_TAG, PROJECT_TAG, Wanted, model_of

KEPT = 3
"""So many configs that served before are kept for `rollback`, with their models."""

_ABSENT = (None, "Failed")
"""States of an endpoint that must be made: none, or one that no update can mend."""


@dataclass(frozen=True, slots=True)
class Made:
    """A model or config that is there; `created` in seconds since the epoch; tags where they were read."""

    name: str
    created: float
    arn: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Existing:
    """What is there. `status` is None if there is no endpoint; models and configs are those of its names."""

    status: str | None = None
    arn: str = ""
    config: str | None = None
    failure_reason: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    models: tuple[Made, ...] = ()
    configs: tuple[Made, ...] = ()

    @property
    def history(self) -> tuple[str, ...]:
        """The configs' names in the order in which they were deployed."""
        return tuple(made.name for made in sorted(self.configs, key=lambda made: (made.created, made.name)))


@dataclass(frozen=True, slots=True)
class Plan:
    """The calls in their order, then those that are made only when the endpoint is in service.

    Those are `in_service`, without which it is not what is wanted, and `afterwards`, without which it is all
    the same. `kept` names what is as it should be.
    """

    calls: tuple[Call, ...] = ()
    in_service: tuple[Call, ...] = ()
    afterwards: tuple[Call, ...] = ()
    kept: tuple[str, ...] = field(default=(), compare=False)

    @property
    def all(self) -> tuple[Call, ...]:
        """Every call, in the order in which they are made."""
        return (*self.calls, *self.in_service, *self.afterwards)

    @property
    def is_empty(self) -> bool:
        """Whether all is as it should be."""
        return not self.all

    @property
    def moves(self) -> bool:
        """Whether the endpoint is brought to another config, which takes a while."""
        return any(call.operation in ("CreateEndpoint", "UpdateEndpoint") for call in self.calls)


def plan(wanted: Wanted, existing: Existing, *, adopt: bool = False) -> Plan:
    """What makes the endpoint what is wanted; `existing` is not in a moving state.

    Raises ForeignEndpoint if the endpoint is another project's, unless it is to be adopted.
    """
    if not adopt:
        check_owner(wanted.endpoint, wanted.project, existing)
    serves = existing.status == "InService" and existing.config == wanted.config
    is_new = existing.status in _ABSENT
    scaling = autoscaling.plan(wanted, "" if is_new else existing.arn, {} if is_new else existing.tags)
    calls = (*_make_model(wanted, existing), *_make_config(wanted, existing), *scaling.before)
    if not serves:
        calls += _move(wanted.endpoint, wanted.config, wanted.tags, existing, _way(wanted, scaling))
    tagging = _tag(wanted.endpoint, wanted.tags, existing)
    cleaning = () if serves else cleanup(wanted.config, existing)
    return Plan(calls, scaling.in_service, (*tagging, *cleaning), tuple(_kept(wanted, existing, calls)))


def previous(endpoint: str, project: str, existing: Existing) -> Made:
    """The config that was deployed before the present one.

    `existing` holds only what is the project's. Raises DeployError if there is nothing to go back to.
    """
    check_owner(endpoint, project, existing)
    if existing.status is None:
        raise DeployError(f"there is no endpoint {endpoint!r} to roll back", "Deploy it first.")
    before = _before(existing)
    if not before:
        held = ", ".join(existing.history) or "none"
        message = f"there is nothing before {existing.config} to go back to; configs of {endpoint!r}: {held}"
        raise DeployError(message, "Bring the older sources back, and deploy them.")
    return next(made for made in existing.configs if made.name == before[-1])


def rollback(endpoint: str, target: Made, variants: Sequence[Mapping[str, Any]], existing: Existing) -> Plan:
    """What goes back to a config, which has these production variants. The autoscaling stays as it is."""
    arn = "" if existing.status in _ABSENT else existing.arn
    scaling = autoscaling.going_back(endpoint, variants, arn, existing.tags)
    tags = {name: value for name, value in existing.tags.items() if name != autoscaling.SCALING_TAG}
    calls = _move(endpoint, target.name, {**tags, **target.tags}, existing, _retained(scaling))
    return Plan((*scaling.before, *calls), scaling.in_service, _tag(endpoint, target.tags, existing))


def delete(endpoint: str, project: str, existing: Existing) -> Plan:
    """What removes the endpoint with its configs and models; `existing` holds only what is the project's."""
    check_owner(endpoint, project, existing)
    scaling = autoscaling.removal(endpoint, existing.tags)
    first = () if existing.status is None else (_delete_endpoint(endpoint),)
    configs = (_delete_config(made.name) for made in existing.configs)
    return Plan((*scaling, *first, *configs, *(_delete_model(made.name) for made in existing.models)))


def cleanup(serving: str, existing: Existing) -> tuple[Call, ...]:
    """What removes configs and models that nothing needs any more, now that `serving` is in service.

    `existing` is what was there before. Kept are the last `KEPT` that served before; what was rolled back
    from is not among them, so that a rollback never leads to it.
    """
    old = [name for name in (*_before(existing), existing.config) if name and name != serving]
    history = [name for name in existing.history if name != serving]
    kept = {serving, *(old if existing.status else history)[-KEPT:]}
    models = {model_of(name) for name in kept}
    configs = [_delete_config(name) for name in history if name not in kept]
    return (*configs, *(_delete_model(made.name) for made in existing.models if made.name not in models))


def check_owner(endpoint: str, project: str, existing: Existing) -> None:
    """Raise ForeignEndpoint if there is an endpoint of that name that is not this project's."""
    owner = existing.tags.get(PROJECT_TAG)
    if existing.status is None or owner == project:
        return
    whose = f"belongs to another project, {owner}" if owner else "was not made by Hotfire"
    raise ForeignEndpoint(
        f"the endpoint {endpoint!r} {whose}",
        "Choose another `model_name` in config.yml, or make it this project's: `hotfire deploy --adopt`.",
    )


def _before(existing: Existing) -> tuple[str, ...]:
    """The configs that were deployed before the one that the endpoint has."""
    history = existing.history
    if existing.config not in history:
        return history
    return history[: history.index(existing.config)]


def _make_model(wanted: Wanted, existing: Existing) -> Iterator[Call]:
    if all(made.name != wanted.model for made in existing.models):
        params = {**wanted.create_model, "Tags": tag_list(wanted.tags)}
        yield Call("sagemaker", "CreateModel", params, f"create model {wanted.model}")


def _make_config(wanted: Wanted, existing: Existing) -> Iterator[Call]:
    history = existing.history
    if wanted.config in history:
        if wanted.config in (history[-1], existing.config):
            return
        # Made anew, so that the order of creation stays the order in which they were deployed.
        yield _delete_config(wanted.config)
    params = {**wanted.create_config, "Tags": tag_list(wanted.tags)}
    yield Call("sagemaker", "CreateEndpointConfig", params, f"create endpoint config {wanted.config}")


def _kept(wanted: Wanted, existing: Existing, calls: Iterable[Call]) -> Iterator[str]:
    """What is there and stays as it is."""
    made = {name for call in calls for name in call.params.values() if isinstance(name, str)}
    named = (
        ("model", wanted.model, existing.models),
        ("endpoint config", wanted.config, existing.configs),
    )
    for kind, name, there in named:
        if any(one.name == name for one in there) and name not in made:
            yield f"{kind} {name}"
    if existing.status is not None and wanted.endpoint not in made:
        yield f"endpoint {wanted.endpoint}"


def _way(wanted: Wanted, scaling: autoscaling.Scaling) -> dict[str, Any]:
    """How an endpoint goes over to another config: members of UpdateEndpoint."""
    return {**({"DeploymentConfig": wanted.update} if wanted.update else {}), **_retained(scaling)}


def _retained(scaling: autoscaling.Scaling) -> dict[str, Any]:
    """What leaves the number of instances to autoscaling: members of UpdateEndpoint."""
    if not scaling.goes_on:
        return {}
    kinds = ("DesiredWeight", "DataCaptureConfig")
    excluded = [{"VariantPropertyType": kind} for kind in kinds]
    return {"RetainAllVariantProperties": True, "ExcludeRetainedVariantProperties": excluded}


def _move(
    endpoint: str,
    config: str,
    tags: Mapping[str, str],
    existing: Existing,
    way: Mapping[str, Any] | None = None,
) -> tuple[Call, ...]:
    """What makes the endpoint serve a config. One that is Failed takes no update."""
    params = {"EndpointName": endpoint, "EndpointConfigName": config}
    if existing.status not in _ABSENT:
        text = f"update endpoint {endpoint} to {config}"
        return (Call("sagemaker", "UpdateEndpoint", {**params, **(way or {})}, text),)
    tagged = {**params, "Tags": tag_list(tags)}
    create = Call("sagemaker", "CreateEndpoint", tagged, f"create endpoint {endpoint} of {config}")
    return (create,) if existing.status is None else (_delete_endpoint(endpoint, "Failed "), create)


def _tag(endpoint: str, tags: Mapping[str, str], existing: Existing) -> tuple[Call, ...]:
    """What gives an endpoint that stays the tags; another commit or caller is no reason."""
    # The commit of what was deployed before says nothing of what comes from none.
    tags = {**({COMMIT_TAG: ""} if COMMIT_TAG in existing.tags else {}), **tags}
    new = {name: value for name, value in tags.items() if existing.tags.get(name) != value}
    if existing.status in _ABSENT or not set(new) - {COMMIT_TAG, CALLER_TAG}:
        return ()
    return (add_tags(endpoint, existing.arn, new),)


def _delete_endpoint(endpoint: str, kind: str = "") -> Call:
    text = f"delete {kind}endpoint {endpoint}"
    return Call("sagemaker", "DeleteEndpoint", {"EndpointName": endpoint}, text)


def _delete_config(name: str) -> Call:
    params = {"EndpointConfigName": name}
    return Call("sagemaker", "DeleteEndpointConfig", params, f"delete endpoint config {name}")


def _delete_model(name: str) -> Call:
    return Call("sagemaker", "DeleteModel", {"ModelName": name}, f"delete model {name}")
