from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from hotfire.errors import DeployError, ForeignEndpoint
from hotfire.hosting_settings import Autoscaling
from hotfire.plan import Existing, Made, Plan, cleanup, delete, plan, previous, rollback
from hotfire.wanted import Wanted

PROJECT = "/home/ada/news"
TAGS = {"hotfire:project": PROJECT, "hotfire:hash": "5f5f", "hotfire:commit": "1f2e3d4"}
ARN = "arn:aws:sagemaker:us-east-1:000000000000:endpoint/news"


def model(digit: str) -> str:
    return f"news-{digit * 12}"


def config(digit: str) -> str:
    return f"{model(digit)}-{digit * 6}"


def goal(digit: str = "a") -> Wanted:
    return Wanted(
        endpoint="news",
        model=model(digit),
        config=config(digit),
        create_model={"ModelName": model(digit)},
        create_config={"EndpointConfigName": config(digit)},
        tags=TAGS,
    )


def made(digits: str) -> dict[str, Any]:
    """Models and configs, in the order of their creation."""
    times = list(enumerate(digits))
    return {
        "models": tuple(Made(model(digit), float(time)) for time, digit in times),
        "configs": tuple(
            Made(config(digit), float(time), tags={"hotfire:hash": digit}) for time, digit in times
        ),
    }


def serving(digit: str, digits: str | None = None, **changes: Any) -> Existing:
    """An endpoint that serves one of the configs that were made."""
    given: dict[str, Any] = {"status": "InService", "arn": ARN, "config": config(digit), "tags": TAGS}
    return Existing(**(given | made(digit if digits is None else digits) | changes))


def texts(calls: Iterable[Any]) -> list[str]:
    return [call.text for call in calls]


def test_a_first_deploy_makes_everything_with_its_tags() -> None:
    steps = plan(goal(), Existing())
    tags = [
        {"Key": "hotfire:project", "Value": PROJECT},
        {"Key": "hotfire:hash", "Value": "5f5f"},
        {"Key": "hotfire:commit", "Value": "1f2e3d4"},
    ]
    assert [(call.service, call.operation, call.params) for call in steps.calls] == [
        ("sagemaker", "CreateModel", {"ModelName": model("a"), "Tags": tags}),
        ("sagemaker", "CreateEndpointConfig", {"EndpointConfigName": config("a"), "Tags": tags}),
        (
            "sagemaker",
            "CreateEndpoint",
            {"EndpointName": "news", "EndpointConfigName": config("a"), "Tags": tags},
        ),
    ]
    assert steps.afterwards == ()


def test_a_call_says_what_it_does() -> None:
    assert texts(plan(goal(), Existing()).calls) == [
        "create model news-aaaaaaaaaaaa",
        "create endpoint config news-aaaaaaaaaaaa-aaaaaa",
        "create endpoint news of news-aaaaaaaaaaaa-aaaaaa",
    ]


def test_an_unchanged_project_with_a_healthy_endpoint_needs_nothing() -> None:
    assert plan(goal(), serving("a")) == Plan()


def test_the_failure_of_an_earlier_update_does_not_make_an_endpoint_unhealthy() -> None:
    assert plan(goal(), serving("a", failure_reason="NameError")).is_empty


def test_another_commit_or_caller_of_the_same_content_is_no_reason() -> None:
    assert plan(goal(), serving("a", tags=TAGS | {"hotfire:commit": "0000000"})).is_empty
    mine, theirs = (TAGS | {"hotfire:caller": who} for who in ("me", "somebody else"))
    assert plan(replace(goal(), tags=mine), serving("a", tags=theirs)).is_empty


def test_a_changed_project_updates_the_endpoint_and_its_tags() -> None:
    steps = plan(goal("b"), serving("a", tags=TAGS | {"hotfire:hash": "0000", "team": "search"}))
    assert texts(steps.calls) == [
        f"create model {model('b')}",
        f"create endpoint config {config('b')}",
        f"update endpoint news to {config('b')}",
    ]
    (tagging,) = steps.afterwards
    assert tagging.params == {"ResourceArn": ARN, "Tags": [{"Key": "hotfire:hash", "Value": "5f5f"}]}


def test_the_commit_of_what_was_before_does_not_stay() -> None:
    without = {name: value for name, value in TAGS.items() if name != "hotfire:commit"}
    existing = serving("a", tags=TAGS | {"hotfire:hash": "0000"})
    steps = plan(replace(goal("b"), tags=without), existing)
    assert {"Key": "hotfire:commit", "Value": ""} in steps.afterwards[0].params["Tags"]


def test_a_tag_that_the_project_added_is_set() -> None:
    existing = serving("a", tags=TAGS | {"team": "ads"})
    steps = plan(replace(goal(), tags=TAGS | {"team": "search"}), existing)
    assert (steps.calls, [call.params["Tags"] for call in steps.afterwards]) == (
        (),
        [[{"Key": "team", "Value": "search"}]],
    )


def test_another_hosting_of_the_same_content_makes_a_config_only() -> None:
    other = f"{model('a')}-cccccc"
    assert texts(plan(replace(goal(), config=other), serving("a")).calls) == [
        f"create endpoint config {other}",
        f"update endpoint news to {other}",
    ]


@pytest.mark.parametrize("status", ["OutOfService", "UpdateRollbackFailed"])
def test_an_endpoint_out_of_service_is_updated_though_nothing_changed(status: str) -> None:
    assert texts(plan(goal(), serving("a", status=status)).calls) == [
        f"update endpoint news to {config('a')}"
    ]


def test_a_failed_endpoint_is_made_anew() -> None:
    assert texts(plan(goal(), serving("a", status="Failed")).calls) == [
        "delete Failed endpoint news",
        f"create endpoint news of {config('a')}",
    ]


def test_a_missing_endpoint_is_made_of_what_is_there() -> None:
    existing = Existing(**made("a"))
    assert texts(plan(goal(), existing).calls) == [f"create endpoint news of {config('a')}"]


def test_a_missing_config_is_made_though_the_endpoint_serves() -> None:
    steps = plan(goal(), serving("a", configs=()))
    assert (texts(steps.calls), steps.moves) == ([f"create endpoint config {config('a')}"], False)


def test_content_that_served_before_becomes_the_latest_again() -> None:
    steps = plan(goal("a"), serving("b", "ab"))
    assert texts(steps.calls) == [
        f"delete endpoint config {config('a')}",
        f"create endpoint config {config('a')}",
        f"update endpoint news to {config('a')}",
    ]


def test_what_was_rolled_back_from_is_deployed_again_as_it_is() -> None:
    assert texts(plan(goal("b"), serving("a", "ab")).calls) == [f"update endpoint news to {config('b')}"]


@pytest.mark.parametrize(
    ("tags", "whose"),
    [
        ({"hotfire:project": "/home/bob/news"}, "belongs to another project, /home/bob/news"),
        ({"team": "search"}, "was not made by Hotfire"),
    ],
)
def test_a_foreign_endpoint_is_not_touched(tags: dict[str, str], whose: str) -> None:
    with pytest.raises(ForeignEndpoint) as raised:
        plan(goal(), serving("a", tags=tags))
    assert raised.value.message == f"the endpoint 'news' {whose}"
    assert "`model_name`" in raised.value.advice
    assert "--adopt" in raised.value.advice


def test_a_foreign_endpoint_is_adopted_by_its_tags() -> None:
    steps = plan(goal("b"), serving("a", tags={"hotfire:project": "/home/bob/news"}), adopt=True)
    assert texts(steps.calls)[-1] == f"update endpoint news to {config('b')}"
    assert {"Key": "hotfire:project", "Value": PROJECT} in steps.afterwards[0].params["Tags"]


def test_the_last_three_that_served_are_kept() -> None:
    assert texts(cleanup(config("e"), serving("d", "abcd"))) == [
        f"delete endpoint config {config('a')}",
        f"delete model {model('a')}",
    ]


def test_a_model_that_a_kept_config_needs_is_kept() -> None:
    existing = serving("d", "abcd")
    shared = Made(f"{model('a')}-ffffff", 10.0)
    changed = Existing("InService", ARN, shared.name, "", TAGS, existing.models, (*existing.configs, shared))
    assert texts(cleanup(config("e"), changed)) == [
        f"delete endpoint config {config('a')}",
        f"delete endpoint config {config('b')}",
        f"delete model {model('b')}",
    ]


def test_nothing_is_cleared_up_that_may_be_gone_back_to() -> None:
    assert cleanup(config("d"), serving("c", "abc")) == ()


def test_what_was_rolled_back_from_is_cleared_up_by_the_next_deploy() -> None:
    assert texts(cleanup(config("c"), serving("a", "ab"))) == [
        f"delete endpoint config {config('b')}",
        f"delete model {model('b')}",
    ]


def test_a_plan_shows_what_it_will_clear_up() -> None:
    steps = plan(goal("e"), serving("d", "abcd"))
    assert texts(steps.afterwards) == [f"delete endpoint config {config('a')}", f"delete model {model('a')}"]


def gone_back(existing: Existing, kind: str | None = "local") -> tuple[str, Plan]:
    """Where a rollback leads, to a variant on this type of instance, and how."""
    target = previous("news", PROJECT, existing)
    variant = {"VariantName": "AllTraffic", **({"InstanceType": kind} if kind else {})}
    return target.name, rollback("news", target, [variant], existing)


def test_a_rollback_goes_to_what_was_deployed_before() -> None:
    target, steps = gone_back(serving("c", "abc"))
    assert (target, texts(steps.calls)) == (config("b"), [f"update endpoint news to {config('b')}"])
    assert {"Key": "hotfire:hash", "Value": "b"} in steps.afterwards[0].params["Tags"]


def test_a_rollback_of_a_rollback_goes_further_back() -> None:
    assert gone_back(serving("b", "abc"))[0] == config("a")


def test_a_failed_endpoint_is_rolled_back_by_making_it_anew() -> None:
    _, steps = gone_back(serving("b", "ab", status="Failed"))
    assert texts(steps.calls) == ["delete Failed endpoint news", f"create endpoint news of {config('a')}"]


def test_an_endpoint_that_was_moved_by_hand_goes_back_to_the_latest_of_ours() -> None:
    assert gone_back(serving("b", "ab", config="by-hand"))[0] == config("b")


def test_with_nothing_before_a_rollback_says_what_there_is() -> None:
    with pytest.raises(DeployError) as raised:
        previous("news", PROJECT, serving("a", "ab"))
    assert raised.value.message.endswith(f"configs of 'news': {config('a')}, {config('b')}")


def test_no_endpoint_can_be_rolled_back() -> None:
    with pytest.raises(DeployError, match="no endpoint 'news' to roll back"):
        previous("news", PROJECT, Existing(**made("a")))


def test_a_foreign_endpoint_is_not_rolled_back() -> None:
    with pytest.raises(ForeignEndpoint):
        previous("news", PROJECT, serving("b", "ab", tags={}))


def test_delete_removes_the_endpoint_before_what_it_needs() -> None:
    assert texts(delete("news", PROJECT, serving("b", "ab")).calls) == [
        "delete endpoint news",
        f"delete endpoint config {config('a')}",
        f"delete endpoint config {config('b')}",
        f"delete model {model('a')}",
        f"delete model {model('b')}",
    ]


def test_delete_removes_what_an_absent_endpoint_left() -> None:
    assert texts(delete("news", PROJECT, Existing(**made("a"))).calls) == [
        f"delete endpoint config {config('a')}",
        f"delete model {model('a')}",
    ]


def test_a_foreign_endpoint_is_not_deleted() -> None:
    with pytest.raises(ForeignEndpoint):
        delete("news", PROJECT, serving("a", tags={}))


def scaled(digit: str, **bounds: Any) -> Wanted:
    """A goal with an instance type and autoscaling."""
    request = {"ProductionVariants": [{"VariantName": "AllTraffic", "InstanceType": "ml.m5.large"}]}
    given = {"min": 1, "max": 4, "target": 100.0} | bounds
    return replace(
        goal(digit),
        create_config={"EndpointConfigName": config(digit), **request},
        autoscaling=Autoscaling(**given),
    )


SCALED = TAGS | {"hotfire:autoscaling": "AllTraffic ml.m5.large 1 4 100"}


def test_an_update_goes_as_it_was_asked_to() -> None:
    update = {"RollingUpdatePolicy": {"MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1}}}
    steps = plan(replace(goal("b"), update=update), serving("a"))
    assert steps.calls[-1].params == {
        "EndpointName": "news",
        "EndpointConfigName": config("b"),
        "DeploymentConfig": update,
    }


def test_a_new_endpoint_is_scaled_when_it_is_in_service() -> None:
    steps = plan(scaled("a"), Existing())
    assert texts(steps.in_service) == [
        "scale endpoint news from 1 to 4 instances",
        "scale endpoint news at 100 requests a minute for each instance",
        "tag endpoint news",
    ]
    assert steps.in_service[-1].params["ResourceArn"] == ""


def test_an_update_keeps_as_many_instances_as_autoscaling_made() -> None:
    steps = plan(scaled("b"), serving("a", tags=SCALED))
    params = steps.calls[-1].params
    assert params["RetainAllVariantProperties"] is True
    kinds = [one["VariantPropertyType"] for one in params["ExcludeRetainedVariantProperties"]]
    assert kinds == ["DesiredWeight", "DataCaptureConfig"]
    assert steps.in_service == ()


def test_a_rollback_keeps_as_many_instances_as_autoscaling_made() -> None:
    _, steps = gone_back(serving("b", "ab", tags=SCALED), "ml.m5.large")
    assert texts(steps.calls) == [f"update endpoint news to {config('a')}"]
    assert steps.calls[0].params["RetainAllVariantProperties"] is True
    assert steps.in_service == ()


def test_a_rollback_to_another_instance_type_scales_anew() -> None:
    _, steps = gone_back(serving("b", "ab", tags=SCALED), "ml.c5.large")
    assert texts(steps.calls) == [
        "end the autoscaling of endpoint news",
        f"update endpoint news to {config('a')}",
    ]
    assert "RetainAllVariantProperties" not in steps.calls[1].params
    assert texts(steps.in_service)[0] == "scale endpoint news from 1 to 4 instances"
    tag = {"Key": "hotfire:autoscaling", "Value": "AllTraffic ml.c5.large 1 4 100"}
    assert steps.in_service[-1].params == {"ResourceArn": ARN, "Tags": [tag]}


def test_a_rollback_to_what_has_no_instances_ends_the_autoscaling() -> None:
    _, steps = gone_back(serving("b", "ab", tags=SCALED), None)
    assert texts(steps.calls)[0] == "end the autoscaling of endpoint news"
    assert [call.params["Tags"] for call in steps.in_service] == [
        [{"Key": "hotfire:autoscaling", "Value": ""}]
    ]


def test_a_failed_endpoint_that_is_rolled_back_is_scaled_when_it_is_in_service() -> None:
    _, steps = gone_back(serving("b", "ab", status="Failed", tags=SCALED), "ml.m5.large")
    created = steps.calls[-1].params["Tags"]
    assert "hotfire:autoscaling" not in [tag["Key"] for tag in created]
    assert [call.operation for call in steps.in_service] == [
        "RegisterScalableTarget",
        "PutScalingPolicy",
        "AddTags",
    ]


def test_other_bounds_alone_are_no_update() -> None:
    steps = plan(scaled("a", max=8), serving("a", tags=SCALED))
    assert (steps.moves, texts(steps.calls)) == (False, [])
    assert texts(steps.in_service)[0] == "scale endpoint news from 1 to 8 instances"


def test_autoscaling_ends_before_the_endpoint_is_deleted() -> None:
    assert texts(delete("news", PROJECT, serving("a", tags=SCALED)).calls)[:2] == [
        "end the autoscaling of endpoint news",
        "delete endpoint news",
    ]


def test_what_stays_as_it_is_is_named() -> None:
    assert plan(goal(), serving("a")).kept == (
        f"model {model('a')}",
        f"endpoint config {config('a')}",
        "endpoint news",
    )
    other = replace(goal(), config=f"{model('a')}-cccccc")
    assert plan(other, serving("a")).kept == (f"model {model('a')}",)
