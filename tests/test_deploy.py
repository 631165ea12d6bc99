import json
import os
import signal
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from hotfire.address import Address
from hotfire.deploy import Deployer
from hotfire.deploy_env import DeployEnv
from hotfire.destination import Placement
from hotfire.environment import Environment
from hotfire.errors import DeployError, EndpointFailed, ForeignEndpoint, HandlerError, RegionNotRunning
from hotfire.examples import ExampleRequest
from hotfire.local_region import LocalRegion
from hotfire.model_data import ModelData
from hotfire.plan import KEPT

HANDLER = """
import json

VERSION = "one"

def model_fn(model_dir):
    print("loading", VERSION)
    return VERSION

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    if data == ["fail"]:
        raise ValueError("no such headline")
    return {"version": model, "data": data}

def output_fn(prediction, accept):
    return json.dumps(prediction)
"""

BROKEN = """
def model_fn(model_dir):
    return undefined_name
"""


class Told:
    """A report that remembers."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.states: list[str] = []
        self.lines: list[str] = []

    def call(self, text: str) -> None:
        self.calls.append(text)

    def state(self, status: str, seconds: float) -> None:
        self.states.append(status)

    def log(self, line: str) -> None:
        self.lines.append(line)

    def passing(self, text: str) -> None: ...

    def printed(self, line: str) -> None:
        self.lines.append(line)

    def progress(self, label: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        return nullcontext(lambda count: None)


class Place(LocalRegion):
    """The local region, which knows whether it was asked where model data is to be."""

    def __init__(self, environment: Environment, region: Address) -> None:
        super().__init__(environment, region)
        self.is_asked = threading.Event()

    def locate(self, data: ModelData) -> Placement:
        self.is_asked.set()
        return super().locate(data)


class Project:
    """A project whose endpoint no other test has."""

    def __init__(self, root: Path, region: Address, name: str) -> None:
        self.root, self.region, self.name = root, region, name
        self.told = Told()
        self.handler = root / "src" / "serve.py"
        self.write("src/serve.py", HANDLER)
        self.write("weights/model.txt", "weights")
        self.configure()

    def configure(self, **settings: Any) -> None:
        given = {"model_name": self.name, "source_dir": "src", "artifacts": ["weights"]} | settings
        # JSON is YAML too.
        self.write("config.yml", json.dumps({"environments": {"local": given}}))
        self.env = DeployEnv(config=self.root / "config.yml")

    def write(self, place: str, text: str) -> None:
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def example(self, name: str, body: Any, **expect: Any) -> None:
        self.write(f"examples/{name}.json", json.dumps({"request": {"body": body}, "expect": expect}))

    def version(self, version: str) -> None:
        self.write("src/serve.py", HANDLER.replace('"one"', repr(version)))

    @property
    def deployer(self) -> Deployer:
        self.told = Told()
        return Deployer(self.env, LocalRegion(self.env.environment, self.region), self.told)

    @property
    def served(self) -> Any:
        """The version that answers."""
        return self.deployer.ask(ExampleRequest(b'"x"')).value["version"]

    def left(self) -> list[str]:
        """Every resource that bears the endpoint's name."""
        client, given = self.env.client(), {"NameContains": self.name, "MaxResults": 100}
        return [
            *(one["EndpointName"] for one in client.list_endpoints(**given)["Endpoints"]),
            *(one["EndpointConfigName"] for one in client.list_endpoint_configs(**given)["EndpointConfigs"]),
            *(one["ModelName"] for one in client.list_models(**given)["Models"]),
        ]


@pytest.fixture
def make(
    region: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Project]]:
    """Makes projects with endpoints of their own, which are gone after the test."""
    monkeypatch.setenv("HOTFIRE_HOME", str(region.home))
    name = f"echo-{os.urandom(4).hex()}"
    projects: list[Project] = []

    def project(folder: str = "project", name: str = name) -> Project:
        projects.append(Project(tmp_path / folder, region, name))
        return projects[-1]

    yield project
    for one in projects:
        try:
            one.deployer.delete()
        except ForeignEndpoint:
            continue


@pytest.fixture
def project(make: Callable[..., Project]) -> Project:
    return make()


def await_state(project: Project, status: str) -> None:
    client = project.env.client_for("sagemaker")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if project.name in project.left():
            found = client.describe_endpoint(EndpointName=project.name)
            if found["EndpointStatus"] == status:
                return
    raise AssertionError(f"{project.name} is not {status}")


def waiting_for(file: Path) -> str:
    """What has a handler's import wait for a file."""
    return textwrap.dedent(f"""
        import pathlib, time
        while not pathlib.Path({str(file)!r}).exists():
            time.sleep(0.01)
        VERSION = "two"
    """)


def test_a_first_deploy_answers(project: Project) -> None:
    result = project.deployer.deploy()
    assert result.changed
    assert (result.endpoint, result.previous) == (project.name, None)
    assert project.served == "one"


def test_a_deploy_tells_its_calls_and_states(project: Project) -> None:
    result = project.deployer.deploy()
    assert project.told.calls[-3:] == [
        f"create model {result.model}",
        f"create endpoint config {result.config}",
        f"create endpoint {project.name} of {result.config}",
    ]
    assert set(project.told.states) == {"Creating"}


def test_an_unchanged_project_is_left_alone(project: Project) -> None:
    first = project.deployer.deploy()
    again = project.deployer.deploy()
    assert (again.changed, again.config) == (False, first.config)
    assert project.told.calls == []


def test_a_changed_line_is_served(project: Project) -> None:
    first = project.deployer.deploy()
    project.version("two")
    second = project.deployer.deploy()
    assert project.served == "two"
    assert second.previous == first.config


def test_a_dry_run_changes_nothing(project: Project) -> None:
    result = project.deployer.deploy(dry_run=True)
    assert result.changed
    assert project.left() == []


def test_a_dry_run_shows_what_a_deploy_then_does(project: Project) -> None:
    shown = project.deployer.deploy(dry_run=True)
    assert project.deployer.deploy().plan == shown.plan


def test_examples_are_sent_after_a_deploy(project: Project) -> None:
    project.example("good", ["x"], schema={"required": ["version"]})
    (verdict,) = project.deployer.deploy().verdicts
    assert (verdict.name, verdict.passed) == ("good", True)


def test_a_failing_example_leaves_the_deployment(project: Project) -> None:
    project.example("bad", ["fail"])
    result = project.deployer.deploy()
    assert not result.passed
    assert "no such headline" in result.verdicts[0].errors[0]
    assert project.served == "one"


def test_an_example_that_failed_fails_the_next_deploy_of_the_same_too(project: Project) -> None:
    project.example("bad", ["fail"])
    project.deployer.deploy()
    again = project.deployer.deploy()
    assert (again.changed, again.passed) == (False, False)


def test_an_edit_of_an_example_alone_is_noticed(project: Project) -> None:
    project.example("good", ["x"], value={"version": "one"})
    project.deployer.deploy()
    project.example("good", ["x"], schema={"required": ["other"]})
    again = project.deployer.deploy()
    assert (again.changed, again.passed) == (False, False)


def test_a_dry_run_sends_no_example(project: Project) -> None:
    project.example("bad", ["fail"])
    project.deployer.deploy()
    assert project.deployer.deploy(dry_run=True).verdicts == ()


def test_versions_that_were_left_by_failed_examples_go_with_the_next_good_one(project: Project) -> None:
    project.example("bad", ["fail"])
    for number in range(5):
        project.version(str(number))
        project.deployer.deploy()
    assert len(project.left()) == 1 + 2 * 5
    (project.root / "examples" / "bad.json").unlink()
    project.version("good")
    project.deployer.deploy()
    assert len(project.left()) == 1 + 2 * (1 + KEPT)


def test_a_broken_example_stops_a_deploy_before_any_call(project: Project) -> None:
    project.write("examples/bad.json", "{")
    with pytest.raises(Exception, match=r"bad\.json:1:2"):
        project.deployer.deploy()
    assert project.left() == []


def test_without_examples_a_deploy_says_so(project: Project) -> None:
    project.deployer.deploy()
    assert any("There are no examples" in line for line in project.told.lines)


def test_a_handler_with_a_syntax_error_stops_a_deploy_before_any_call(project: Project) -> None:
    project.write("src/serve.py", "def model_fn(:\n")
    with pytest.raises(HandlerError, match=r"serve\.py:1: Syntax error"):
        project.deployer.deploy()
    assert project.left() == []


def test_a_model_that_does_not_load_leaves_nothing_behind(project: Project) -> None:
    project.write("src/serve.py", BROKEN)
    with pytest.raises(EndpointFailed) as raised:
        project.deployer.deploy()
    assert "NameError: name 'undefined_name' is not defined" in raised.value.message
    assert project.left() == []


def test_the_users_traceback_is_told(project: Project) -> None:
    project.write("src/serve.py", BROKEN)
    with pytest.raises(EndpointFailed) as raised:
        project.deployer.deploy()
    assert "Traceback (most recent call last):" in raised.value.message
    assert f'File "{project.handler}", line 3, in model_fn' in raised.value.message


def test_a_broken_update_leaves_what_served(project: Project) -> None:
    first = project.deployer.deploy()
    before = project.left()
    project.write("src/serve.py", BROKEN)
    with pytest.raises(EndpointFailed) as raised:
        project.deployer.deploy()
    assert raised.value.advice.startswith(f"{first.config} serves on")
    assert project.served == "one"
    assert project.left() == before


def test_the_traceback_of_an_earlier_deploy_is_not_told_again(project: Project) -> None:
    for name in ("undefined_name", "another_name"):
        project.write("src/serve.py", BROKEN.replace("undefined_name", name))
        with pytest.raises(EndpointFailed) as raised:
            project.deployer.deploy()
    assert raised.value.message.count("Traceback (most recent call last):") == 1


def test_a_call_that_is_refused_undoes_those_before_it(project: Project) -> None:
    project.configure(instance_type="ml.nothing.large")
    with pytest.raises(DeployError, match=r"create endpoint config .*hosts nothing on") as raised:
        project.deployer.deploy()
    assert not isinstance(raised.value, EndpointFailed)
    assert project.left() == []


def test_the_endpoint_of_another_folder_is_not_touched(make: Callable[..., Project]) -> None:
    mine, other = make("mine"), make("other")
    mine.deployer.deploy()
    with pytest.raises(ForeignEndpoint, match=f"belongs to another project, {mine.root}"):
        other.deployer.deploy()
    with pytest.raises(ForeignEndpoint):
        other.deployer.delete()
    assert mine.served == "one"


def test_an_endpoint_is_adopted(make: Callable[..., Project]) -> None:
    mine, other = make("mine"), make("other")
    mine.deployer.deploy()
    other.version("two")
    other.deployer.deploy(adopt=True)
    assert other.served == "two"
    with pytest.raises(ForeignEndpoint):
        mine.deployer.deploy()


def test_an_endpoint_that_is_gone_is_made_again(project: Project) -> None:
    first = project.deployer.deploy()
    client = project.env.client()
    client.delete_endpoint(EndpointName=project.name)
    client.get_waiter("endpoint_deleted").wait(EndpointName=project.name)
    assert project.deployer.deploy().config == first.config
    assert project.served == "one"


def test_a_failed_endpoint_is_made_again(project: Project, tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "code"
    broken.mkdir(parents=True)
    (broken / "inference.py").write_text(BROKEN)
    client = project.env.client()
    tags = [{"Key": "hotfire:project", "Value": str(project.root)}]
    data = {"S3Uri": f"{broken.parent.as_uri()}/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    client.create_model(
        ModelName=f"{project.name}-by-hand", PrimaryContainer={"ModelDataSource": {"S3DataSource": data}}
    )
    variant = {"VariantName": "all", "ModelName": f"{project.name}-by-hand", "InstanceType": "local"}
    client.create_endpoint_config(
        EndpointConfigName=f"{project.name}-by-hand",
        ProductionVariants=[variant | {"InitialInstanceCount": 1}],
    )
    client.create_endpoint(EndpointName=project.name, EndpointConfigName=f"{project.name}-by-hand", Tags=tags)
    await_state(project, "Failed")
    project.deployer.deploy()
    assert f"delete Failed endpoint {project.name}" in project.told.calls
    assert project.served == "one"


def test_three_that_served_before_are_kept(project: Project) -> None:
    configs = []
    for version in "12345":
        project.version(version)
        configs.append(project.deployer.deploy().config)
    left = project.left()
    assert [config in left for config in configs] == [False, True, True, True, True]
    assert len(left) == 1 + 4 + 4


def test_what_is_not_ours_is_not_cleared_up(project: Project) -> None:
    foreign = f"{project.name}-0123456789ab"
    project.env.client().create_model(ModelName=foreign, PrimaryContainer={"Image": "image"})
    project.deployer.deploy()
    for version in "12345":
        project.version(version)
        project.deployer.deploy()
    assert foreign in project.left()


def test_rollback_returns_to_what_served_before(project: Project) -> None:
    first = project.deployer.deploy()
    project.version("two")
    project.deployer.deploy()
    back = project.deployer.rollback()
    assert (back.config, back.sha256) == (first.config, first.sha256)
    assert project.served == "one"


def test_rollback_of_content_that_was_deployed_twice_returns_to_what_was_between(project: Project) -> None:
    for version in ("one", "two", "one"):
        project.version(version)
        project.deployer.deploy()
    project.deployer.rollback()
    assert project.served == "two"


def test_rollback_does_not_lead_to_what_was_rolled_back_from(project: Project) -> None:
    for version in ("one", "bad"):
        project.version(version)
        project.deployer.deploy()
    project.deployer.rollback()
    project.version("bad too")
    project.deployer.deploy()
    project.deployer.rollback()
    assert project.served == "one"


def test_rollback_with_nothing_before_says_so(project: Project) -> None:
    project.deployer.deploy()
    with pytest.raises(DeployError, match="nothing before"):
        project.deployer.rollback()


def test_delete_removes_all_of_the_endpoint_and_nothing_else(make: Callable[..., Project]) -> None:
    one = make("one")
    other = make("other", f"{one.name}-other")
    one.deployer.deploy()
    other.deployer.deploy()
    kept = other.left()
    one.deployer.delete()
    assert one.left() == kept
    assert other.served == "one"


def test_delete_of_nothing_does_nothing(project: Project) -> None:
    assert project.deployer.delete() == ()


def test_status_of_nothing(project: Project) -> None:
    assert project.deployer.status().state is None


def test_status_names_what_is_deployed(project: Project) -> None:
    result = project.deployer.deploy()
    status = project.deployer.status()
    assert (status.state, status.config, status.model) == ("InService", result.config, result.model)
    assert (status.sha256, status.working_sha256) == (result.sha256, result.sha256)
    assert status.variants[0]["InstanceType"] == "local"
    assert status.variants[0]["CurrentInstanceCount"] == 1


def test_status_shows_that_the_project_changed_since(project: Project) -> None:
    project.deployer.deploy()
    project.version("two")
    status = project.deployer.status()
    assert status.sha256 != status.working_sha256


def test_what_serves_is_told_where_a_deploy_was_interrupted(project: Project) -> None:
    """Before it could tag the endpoint: what is tagged there is the version before."""
    project.deployer.deploy()
    before = project.deployer.status()
    project.version("two")
    project.deployer.deploy()
    client = project.deployer._client("sagemaker")
    (arn,) = [one["EndpointArn"] for one in client.list_endpoints()["Endpoints"]]
    client.add_tags(ResourceArn=arn, Tags=[{"Key": "hotfire:hash", "Value": before.sha256}])
    status = project.deployer.status()
    assert before.sha256 != status.sha256 == status.working_sha256


def test_examples_are_run_again(project: Project) -> None:
    project.example("value", ["x"], value={"version": "two", "data": ["x"]})
    project.deployer.deploy()
    (trial,) = project.deployer.run_examples()
    assert (trial.example.name, trial.answer.value) == ("value", {"version": "one", "data": ["x"]})
    assert [one.path for one in trial.verdict.differences] == ["version"]


def test_the_examples_are_shown_on_the_endpoints_page(project: Project) -> None:
    project.example("one", [["a headline"]])
    project.deployer.deploy()
    from hotfire.region.store import Store

    with Store(project.region.home / "region.sqlite") as store:
        assert store.examples(project.name) == [
            {
                "name": "one",
                "content_type": "application/json",
                "accept": "",
                "custom_attributes": "",
                "status": 200,
                "body": '[["a headline"]]',
            }
        ]


def test_an_endpoint_that_goes_back_has_the_page_of_then(project: Project) -> None:
    from hotfire.region.store import Store

    def names() -> list[str]:
        with Store(project.region.home / "region.sqlite") as store:
            return [one["name"] for one in store.page(project.name)["examples"]]

    project.example("one", ["a headline"])
    project.deployer.deploy()
    project.version("two")
    project.example("two", ["another"])
    project.deployer.deploy()
    assert names() == ["one", "two"]
    project.deployer.rollback()
    assert names() == ["one"]


def test_the_error_of_a_model_is_an_answer(project: Project) -> None:
    project.deployer.deploy()
    answer = project.deployer.ask(ExampleRequest(b'["fail"]'))
    assert answer.status == 500
    assert "no such headline" in answer.body.decode()


def test_an_endpoint_that_is_not_there_cannot_be_invoked(project: Project) -> None:
    with pytest.raises(DeployError, match="not found"):
        project.deployer.ask(ExampleRequest(b'"x"'))


def test_the_log_holds_what_the_handler_printed(project: Project) -> None:
    begun = time.time()
    project.deployer.deploy()
    events = list(project.deployer.log_events(begun))
    assert "loading one" in [event.message for event in events]
    assert all(event.time >= int(begun) for event in events)


def test_a_log_is_followed(project: Project) -> None:
    project.deployer.deploy()
    events = project.deployer.log_events(time.time(), follow=True)
    project.version("two")
    project.deployer.deploy()
    assert next(event.message for event in events if event.message.startswith("loading")) == "loading two"


def test_nothing_is_logged_of_an_endpoint_that_is_not_there(project: Project) -> None:
    with pytest.raises(DeployError, match="has no log"):
        list(project.deployer.log_events())


def test_an_interrupted_wait_leaves_the_deployment_going(project: Project, tmp_path: Path) -> None:
    project.deployer.deploy()
    go = tmp_path / "go"
    project.write("src/serve.py", HANDLER.replace('VERSION = "one"', waiting_for(go)))

    def interrupt() -> None:
        await_state(project, "Updating")
        os.kill(os.getpid(), signal.SIGINT)

    deployer = project.deployer
    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        deployer.deploy()
    interrupter.join()
    assert deployer.under_way
    go.touch()
    await_state(project, "InService")
    assert project.served == "two"


def test_a_deploy_waits_for_one_that_is_under_way(project: Project, tmp_path: Path) -> None:
    project.deployer.deploy()
    go = tmp_path / "go"
    project.write("src/serve.py", HANDLER.replace('VERSION = "one"', waiting_for(go)))
    first = threading.Thread(target=project.deployer.deploy)
    first.start()
    await_state(project, "Updating")
    project.version("three")
    place = Place(project.env.environment, project.region)
    second = threading.Thread(target=Deployer(project.env, place, Told()).deploy)
    second.start()
    assert place.is_asked.wait(30)  # it has looked at its files, and now looks at the endpoint
    go.touch()
    first.join()
    second.join()
    assert project.served == "three"


def test_a_folder_with_spaces_and_other_letters_works(make: Callable[..., Project]) -> None:
    project = make("Ödipus & Söhne (日本) 100%")
    project.deployer.deploy()
    assert project.served == "one"
    assert not project.deployer.deploy().changed


def test_without_a_region_nothing_can_be_deployed(project: Project) -> None:
    with pytest.raises(RegionNotRunning):
        LocalRegion(project.env.environment, None)
