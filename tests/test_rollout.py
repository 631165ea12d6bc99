from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import Stubber

from hotfire.destination import Pace
from hotfire.errors import DeployError, EndpointFailed
from hotfire.plan import Call, Existing
from hotfire.rollout import Rollout


class Quiet:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def call(self, text: str) -> None:
        pass

    def state(self, status: str, seconds: float) -> None:
        pass

    def log(self, line: str) -> None:
        self.lines.append(line)

    def passing(self, text: str) -> None: ...

    def printed(self, line: str) -> None:
        self.lines.append(line)


class FakeSageMaker:
    """Answers every call, but for those that `failing` has an error for; the endpoint's states go by."""

    def __init__(self, failing: dict[str, BaseException] | None = None, states: Any = ()) -> None:
        self.failing = failing or {}
        self.states = list(states)
        self.calls: list[str] = []

    def describe_endpoint(self, **params: Any) -> dict[str, Any]:
        if not self.states or "delete_endpoint" in self.calls:
            raise refused("ValidationException", 'Could not find endpoint "…".')
        state = self.states[0] if len(self.states) == 1 else self.states.pop(0)
        if isinstance(state, BaseException):
            raise state
        return dict(state)

    def __getattr__(self, operation: str) -> Any:
        def call(**params: Any) -> dict[str, Any]:
            self.calls.append(operation)
            if operation in self.failing:
                raise self.failing[operation]
            return {"events": []}

        return call


def refused(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


def state(status: str, config: str = "new", **more: str) -> dict[str, str]:
    return {"EndpointStatus": status, "EndpointConfigName": config, **more}


MODEL = Call("sagemaker", "CreateModel", {"ModelName": "m"}, "create model m")
CONFIG = Call(
    "sagemaker", "CreateEndpointConfig", {"EndpointConfigName": "new"}, "create endpoint config new"
)
PARAMS = {"EndpointName": "news", "EndpointConfigName": "new"}
CREATE = Call("sagemaker", "CreateEndpoint", PARAMS, "create endpoint news")
UPDATE = Call("sagemaker", "UpdateEndpoint", PARAMS, "update endpoint news to new")
ARN = "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/news"
ROUTING = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
SERVES_OLD = Existing("InService", "arn", "old")


def rollout(sagemaker: FakeSageMaker, report: Quiet | None = None) -> Rollout:
    return Rollout(lambda service: sagemaker, report or Quiet(), "news", Pace(0.0, reads_log=False))


def test_a_refused_call_is_named_with_the_reason() -> None:
    sagemaker = FakeSageMaker({"create_model": refused("ResourceLimitExceeded", "No more models.")})
    with pytest.raises(DeployError) as raised:
        rollout(sagemaker).apply([MODEL])
    assert raised.value.message == "create model m: a quota of the account is used up: No more models."


def test_a_refused_call_undoes_those_before_it_in_reverse() -> None:
    sagemaker = FakeSageMaker({"create_endpoint": refused("ValidationException", "No.")})
    with pytest.raises(DeployError):
        rollout(sagemaker).apply([MODEL, CONFIG, CREATE])
    assert sagemaker.calls[-2:] == ["delete_endpoint_config", "delete_model"]


def test_an_interrupted_call_is_undone_too() -> None:
    sagemaker = FakeSageMaker({"create_endpoint_config": KeyboardInterrupt()})
    applying = rollout(sagemaker)
    with pytest.raises(KeyboardInterrupt):
        applying.apply([MODEL, CONFIG])
    assert sagemaker.calls[-2:] == ["delete_endpoint_config", "delete_model"]
    assert not applying.under_way


def test_what_never_came_to_be_counts_as_undone() -> None:
    absent = refused("ValidationException", 'Could not find endpoint configuration "…".')
    failing = {"create_endpoint_config": KeyboardInterrupt(), "delete_endpoint_config": absent}
    sagemaker = FakeSageMaker(failing)
    with pytest.raises(KeyboardInterrupt):
        rollout(sagemaker).apply([MODEL, CONFIG])
    assert sagemaker.calls[-1] == "delete_model"


def test_what_cannot_be_removed_stays_with_what_it_needs() -> None:
    in_use = refused("ValidationException", "It is in use.")
    sagemaker = FakeSageMaker({"update_endpoint": KeyboardInterrupt(), "delete_endpoint_config": in_use})
    report = Quiet()
    applying = rollout(sagemaker, report)
    with pytest.raises(KeyboardInterrupt):
        applying.apply([MODEL, CONFIG, UPDATE])
    assert "delete_model" not in sagemaker.calls
    assert applying.under_way
    assert report.lines[0].startswith(
        "What was made could not be removed again: undo: create endpoint config new:"
    )


def test_a_new_endpoint_that_failed_is_removed_with_its_config_and_model() -> None:
    sagemaker = FakeSageMaker(states=[state("Creating"), state("Failed", FailureReason="NameError: x")])
    with pytest.raises(EndpointFailed, match="did not come into service: NameError: x"):
        rollout(sagemaker).bring("new", [MODEL, CONFIG, CREATE], Existing(), {})
    assert sagemaker.calls[-3:] == ["delete_endpoint", "delete_endpoint_config", "delete_model"]


def test_an_update_that_failed_keeps_what_was_there_before() -> None:
    sagemaker = FakeSageMaker(states=[state("InService", "old", FailureReason="NameError: x")])
    with pytest.raises(EndpointFailed) as raised:
        rollout(sagemaker).bring("new", [UPDATE], SERVES_OLD, {})
    assert raised.value.advice.startswith("old serves on as before.")
    assert not [call for call in sagemaker.calls if call.startswith("delete")]


def test_an_endpoint_that_another_deploy_took_elsewhere_is_told_so() -> None:
    sagemaker = FakeSageMaker(states=[state("InService", "third")])
    with pytest.raises(EndpointFailed, match="another deploy brought it to third"):
        rollout(sagemaker).bring("new", [UPDATE], SERVES_OLD, {})


def test_an_endpoint_that_was_deleted_meanwhile_is_told_so() -> None:
    with pytest.raises(EndpointFailed, match="it was deleted meanwhile"):
        rollout(FakeSageMaker()).bring("new", [UPDATE], SERVES_OLD, {})


def test_a_network_that_is_away_for_a_moment_ends_no_wait() -> None:
    gone = EndpointConnectionError(endpoint_url="https://api.sagemaker.eu-west-1.amazonaws.com")
    states = [state("Updating"), gone, gone, state("InService")]
    bringing = rollout(FakeSageMaker(states=states))
    bringing.bring("new", [UPDATE], SERVES_OLD, {})
    assert not bringing.under_way


def test_a_region_that_goes_away_leaves_the_deployment_under_way() -> None:
    gone = EndpointConnectionError(endpoint_url="http://127.0.0.1:4774")
    bringing = rollout(FakeSageMaker(states=[gone]))
    with pytest.raises(DeployError, match=r"nothing answers at http://127\.0\.0\.1:4774"):
        bringing.bring("new", [UPDATE], SERVES_OLD, {})
    assert bringing.under_way


class Talking(FakeSageMaker):
    """Prints a line between two looks at its log."""

    def __init__(self, states: Any, *lines: str) -> None:
        super().__init__(states=states)
        self.lines = [
            event("AllTraffic/old", "of the old fleet"),
            *(event("AllTraffic/new", one) for one in lines),
        ]

    def describe_log_streams(self, **params: Any) -> dict[str, Any]:
        return {"logStreams": [{"logStreamName": "AllTraffic/old"}]}

    def filter_log_events(self, **params: Any) -> dict[str, Any]:
        return {"events": [self.lines.pop(0)] if self.lines else []}


def event(stream: str, message: str) -> dict[str, Any]:
    return {"eventId": message, "logStreamName": stream, "timestamp": 2_000_000_000_000, "message": message}


def at_aws(sagemaker: FakeSageMaker, report: Quiet) -> Rollout:
    return Rollout(lambda service: sagemaker, report, "news", Pace(0.0, reads_log=True))


def test_what_the_new_fleet_prints_is_told_as_it_comes() -> None:
    states = [*[state("Updating")] * 3, state("InService")]
    report = Quiet()
    at_aws(Talking(states, "one", "two"), report).bring("new", [UPDATE], SERVES_OLD, {})
    assert report.lines == ["one", "two"]


def test_its_last_lines_and_what_they_tell_are_in_the_failure() -> None:
    states = [*[state("Updating")] * 2, state("InService", "old", FailureReason="It did not start.")]
    sagemaker = Talking(states, "ModuleNotFoundError: No module named 'spacy'")
    with pytest.raises(EndpointFailed) as raised:
        at_aws(sagemaker, Quiet()).bring("new", [UPDATE], SERVES_OLD, {})
    assert raised.value.message.endswith(
        "It did not start.\n\nModuleNotFoundError: No module named 'spacy'\n"
    )
    assert raised.value.advice.startswith("old serves on as before. Add the line `spacy`")


def test_a_log_that_may_not_be_read_fails_nothing() -> None:
    denied = refused("AccessDeniedException", "No.")
    sagemaker = FakeSageMaker(
        {"filter_log_events": denied, "describe_log_streams": denied},
        states=[state("Updating"), state("InService")],
    )
    sagemaker.exceptions = SimpleNamespace(ResourceNotFoundException=KeyError)
    report = Quiet()
    at_aws(sagemaker, report).bring("new", [UPDATE], SERVES_OLD, {})
    assert report.lines == []


def test_a_call_that_took_something_away_is_undone_by_what_it_names() -> None:
    again = Call("application-autoscaling", "RegisterScalableTarget", {}, "scale endpoint news")
    pause = Call("application-autoscaling", "DeregisterScalableTarget", {}, "pause", (again,))
    sagemaker = FakeSageMaker({"update_endpoint": refused("ValidationException", "No.")})
    with pytest.raises(DeployError):
        rollout(sagemaker).apply([pause, UPDATE])
    assert sagemaker.calls == ["deregister_scalable_target", "update_endpoint", "register_scalable_target"]


def test_the_calls_of_an_update_are_sagemakers_own() -> None:
    """Where no imitation has UpdateEndpoint, botocore's own model holds the sequence."""
    client = boto3.Session("a", "b", region_name="eu-west-1").client("sagemaker")
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    described = {
        "EndpointName": "news",
        "EndpointArn": ARN,
        "CreationTime": moment,
        "LastModifiedTime": moment,
    }
    update = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": ROUTING}}
    retained = {
        "RetainAllVariantProperties": True,
        "ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DesiredWeight"}],
    }
    params = {**PARAMS, "DeploymentConfig": update, **retained}
    with Stubber(client) as stub:
        stub.add_response("create_model", {"ModelArn": ARN}, {"ModelName": "m", "ExecutionRoleArn": ARN})
        stub.add_response("update_endpoint", {"EndpointArn": ARN}, params)
        for status in ("Updating", "InService"):
            told = {**described, "EndpointStatus": status, "EndpointConfigName": "new"}
            stub.add_response("describe_endpoint", told, {"EndpointName": "news"})
        model = Call(
            "sagemaker", "CreateModel", {"ModelName": "m", "ExecutionRoleArn": ARN}, "create model m"
        )
        going = Call("sagemaker", "UpdateEndpoint", params, "update endpoint news to new")
        steps = Rollout(lambda service: client, Quiet(), "news", Pace(0.0, reads_log=False))
        steps.bring("new", [model, going], SERVES_OLD, {})
        stub.assert_no_pending_responses()
