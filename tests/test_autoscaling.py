from typing import Any

from hotfire.autoscaling import SCALING_TAG, most, plan, removal
from hotfire.hosting_settings import Autoscaling
from hotfire.wanted import Wanted

ARN = "arn:aws:sagemaker:us-east-1:000000000000:endpoint/news"
TARGET = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/news/variant/AllTraffic",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
TAG = "AllTraffic ml.m5.large 1 4 100"


def goal(autoscaling: Autoscaling | None, kind: str = "ml.m5.large") -> Wanted:
    variant = {"VariantName": "AllTraffic", "InstanceType": kind}
    request: dict[str, Any] = {"ProductionVariants": [variant]}
    return Wanted("news", "m", "c", {}, request, {}, autoscaling=autoscaling)


def operations(calls: Any) -> list[str]:
    return [call.operation for call in calls]


def test_without_autoscaling_nothing_is_called() -> None:
    scaling = plan(goal(None), ARN, {})
    assert (scaling.before, scaling.in_service, scaling.goes_on) == ((), (), False)


def test_the_requests_are_these() -> None:
    register, policy, tag = plan(goal(Autoscaling(1, 4, 100.0)), ARN, {}).in_service
    assert register.params == {**TARGET, "MinCapacity": 1, "MaxCapacity": 4}
    assert policy.params == {
        **TARGET,
        "PolicyName": "hotfire",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 100.0,
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
            },
        },
    }
    assert tag.params == {"ResourceArn": ARN, "Tags": [{"Key": SCALING_TAG, "Value": TAG}]}


def test_what_is_registered_already_goes_on() -> None:
    scaling = plan(goal(Autoscaling(1, 4, 100.0)), ARN, {SCALING_TAG: TAG})
    assert (scaling.before, scaling.in_service, scaling.goes_on) == ((), (), True)


def test_other_bounds_are_set_without_a_pause() -> None:
    scaling = plan(goal(Autoscaling(2, 6, 50.0)), ARN, {SCALING_TAG: TAG})
    assert scaling.before == ()
    assert operations(scaling.in_service) == ["RegisterScalableTarget", "PutScalingPolicy", "AddTags"]


def test_another_instance_type_needs_a_pause_that_can_be_undone() -> None:
    scaling = plan(goal(Autoscaling(1, 4, 100.0), "ml.c5.large"), ARN, {SCALING_TAG: TAG})
    (pause,) = scaling.before
    assert (pause.operation, pause.params) == ("DeregisterScalableTarget", TARGET)
    assert operations(pause.undone_by) == ["RegisterScalableTarget", "PutScalingPolicy"]
    assert not scaling.goes_on


def test_what_is_no_longer_wanted_ends() -> None:
    scaling = plan(goal(None), ARN, {SCALING_TAG: TAG})
    assert operations(scaling.before) == ["DeregisterScalableTarget"]
    assert [call.params["Tags"][0]["Value"] for call in scaling.in_service] == [""]


def test_what_somebody_else_registered_is_not_removed() -> None:
    assert removal("news", {}) == ()
    assert operations(removal("news", {SCALING_TAG: TAG})) == ["DeregisterScalableTarget"]


def test_the_tag_says_how_many_instances_there_may_be() -> None:
    assert (most({SCALING_TAG: TAG}), most({SCALING_TAG: ""}), most({})) == (4, 0, 0)
