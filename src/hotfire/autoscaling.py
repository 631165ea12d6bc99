"""An endpoint's automatic scaling: which calls bring it to what is wanted; pure.

What is registered is told by a tag of the endpoint, so that nothing is touched that somebody else set up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hotfire.calls import Call, add_tags
from hotfire.hosting_settings import Autoscaling
from hotfire.wanted import Wanted

SCALING_TAG = "hotfire:autoscaling"

_SERVICE = "application-autoscaling"
_POLICY = "hotfire"


@dataclass(frozen=True, slots=True)
class Scaling:
    """The calls before an endpoint goes over to its config, and those once it is in service."""

    before: tuple[Call, ...] = ()
    in_service: tuple[Call, ...] = ()
    goes_on: bool = False
    """Whether the number of instances is autoscaling's affair meanwhile."""


@dataclass(frozen=True, slots=True)
class _Registered:
    """What the tag says: `AllTraffic ml.m5.large 1 4 1000`."""

    variant: str
    instance_type: str
    bounds: Autoscaling

    def __str__(self) -> str:
        bounds = self.bounds
        return f"{self.variant} {self.instance_type} {bounds.min} {bounds.max} {bounds.target:g}"


def plan(wanted: Wanted, arn: str, tags: Mapping[str, str]) -> Scaling:
    """What brings the autoscaling of an endpoint with these tags, none of a new one, to what is wanted."""
    return _change(wanted.endpoint, _of_tag(tags.get(SCALING_TAG, "")), _of_wanted(wanted), arn)


def going_back(
    endpoint: str, variants: Sequence[Mapping[str, Any]], arn: str, tags: Mapping[str, str]
) -> Scaling:
    """What keeps an endpoint's autoscaling while it goes back to a config with these variants.

    An empty ARN is that of one that is made anew, with nothing registered.
    """
    registered = _of_tag(tags.get(SCALING_TAG, ""))
    kinds = {variant["VariantName"]: variant.get("InstanceType") for variant in variants}
    kind = kinds.get(registered.variant) if registered else None
    then = replace(registered, instance_type=kind) if registered and kind else None
    return _change(endpoint, registered if arn else None, then, arn)


def _change(endpoint: str, now: _Registered | None, then: _Registered | None, arn: str) -> Scaling:
    if now is None and then is None:
        return Scaling()
    if now == then:
        return Scaling(goes_on=True)
    stays = now and then and (now.variant, now.instance_type) == (then.variant, then.instance_type)
    # SageMaker changes no instance type of a variant that is scaled.
    before = (_deregister(endpoint, now),) if now and not stays else ()
    registered = _register(endpoint, then) if then else ()
    tagging = add_tags(endpoint, arn, {SCALING_TAG: str(then or "")})
    return Scaling(before, (*registered, tagging), bool(stays))


def removal(endpoint: str, tags: Mapping[str, str]) -> tuple[Call, ...]:
    """What takes the autoscaling of an endpoint away, if it is ours."""
    now = _of_tag(tags.get(SCALING_TAG, ""))
    return () if now is None else (_deregister(endpoint, now),)


def most(tags: Mapping[str, str]) -> int:
    """How many instances the autoscaling of an endpoint may make; 0 without."""
    now = _of_tag(tags.get(SCALING_TAG, ""))
    return 0 if now is None else now.bounds.max


def _of_wanted(wanted: Wanted) -> _Registered | None:
    if wanted.autoscaling is None:
        return None
    variant = wanted.create_config["ProductionVariants"][0]
    return _Registered(variant["VariantName"], variant.get("InstanceType", ""), wanted.autoscaling)


def _of_tag(text: str) -> _Registered | None:
    match text.split():
        case [variant, kind, least, most, target]:
            return _Registered(variant, kind, Autoscaling(int(least), int(most), float(target)))
    return None


def _target(endpoint: str, variant: str) -> dict[str, str]:
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint}/variant/{variant}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }


def _register(endpoint: str, scaling: _Registered) -> tuple[Call, ...]:
    bounds, target = scaling.bounds, _target(endpoint, scaling.variant)
    capacity = {**target, "MinCapacity": bounds.min, "MaxCapacity": bounds.max}
    tracking = {
        "TargetValue": bounds.target,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    }
    policy = {
        **target,
        "PolicyName": _POLICY,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": tracking,
    }
    text = f"scale endpoint {endpoint} from {bounds.min} to {bounds.max} instances"
    per = f"scale endpoint {endpoint} at {bounds.target:g} requests a minute for each instance"
    return (
        Call(_SERVICE, "RegisterScalableTarget", capacity, text),
        Call(_SERVICE, "PutScalingPolicy", policy, per),
    )


def _deregister(endpoint: str, scaling: _Registered) -> Call:
    text = f"end the autoscaling of endpoint {endpoint}"
    target = _target(endpoint, scaling.variant)
    return Call(_SERVICE, "DeregisterScalableTarget", target, text, _register(endpoint, scaling))
