"""A project goes to AWS by the command that deployed it here; told against an imitation of AWS."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

BUCKET = "my-models"
YES = ("deploy", "--env", "production", "--yes")
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}


class ProductionProject:
    """A project whose environment `production` is the imitation."""

    def __init__(self, project: Any, aws: Any) -> None:
        self._project, self.aws, self.folder = project, aws, project.folder
        self.configure()

    def configure(self, **settings: Any) -> None:
        """Write config.yml anew."""
        production = {
            "model_name": "news",
            "aws_role": "news",
            "instance_type": "ml.m5.large",
            "endpoint_url": self.aws.url,
            "region": "eu-west-1",
            "model_data_path": f"s3://{BUCKET}/news/model.tar.gz",
        }
        environments = {
            "local": {"model_name": self._project.name},
            "production": {name: value for name, value in (production | settings).items() if value},
        }
        self.write("config.yml", json.dumps({"environments": environments}, indent=2))

    def write(self, name: str, text: str) -> None:
        self._project.write(name, text)

    def edit(self, version: int) -> None:
        """Another version of the handler."""
        self.write(
            "serve.py",
            f"def model_fn(d):\n    return {version}\n\ndef predict_fn(data, model):\n    return data\n",
        )

    def hotfire(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return self._project.hotfire(*arguments, **(KEYS | variables))

    def deploy(self, *options: str) -> subprocess.CompletedProcess[str]:
        done = self.hotfire(*YES, *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def told(self, *arguments: str) -> Any:
        done = self.hotfire(*arguments, "--env", "production", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    @property
    def objects(self) -> dict[str, int]:
        """What is in the bucket, but for who uses it."""
        return {key: size for key, size in self.aws.objects(BUCKET).items() if "/.hotfire/" not in key}

    @property
    def state(self) -> tuple[Any, ...]:
        """All that is there."""
        sagemaker = self.aws.client("sagemaker")
        serves = [
            sagemaker.describe_endpoint(EndpointName=one["EndpointName"])["EndpointConfigName"]
            for one in sagemaker.list_endpoints()["Endpoints"]
        ]
        return self.aws.resources(), serves, self.aws.objects(BUCKET)


@pytest.fixture
def news(project: Any, aws: Any) -> ProductionProject:
    return ProductionProject(project, aws)


def writes(calls: list[str]) -> list[str]:
    """The calls that change something."""
    return [call for call in calls if not call.startswith(("Describe", "List", "Query", "S3 GET", "S3 HEAD"))]


def test_a_dry_run_names_the_account_first_and_changes_nothing(news: ProductionProject) -> None:
    done = news.hotfire("deploy", "--env", "production", "--dry-run")
    assert done.returncode == 3, done.stderr
    first, second, *rest = done.stdout.splitlines()
    assert first == "AWS account 123456789012, eu-west-1, as arn:aws:sts::123456789012:user/moto"
    assert second == "Planning news for production"
    assert [line.split()[:2] for line in rest[:5]] == [["+", "create"], ["+", "upload"]] + [
        ["+", "create"]
    ] * 3
    assert "To be paid for: 1 × ml.m5.large." in rest
    assert writes(news.aws.calls) == []


def test_the_same_handler_goes_to_the_ray_serve_image(news: ProductionProject) -> None:
    news.configure(serving="ray", instance_type="ml.g4dn.xlarge", ray={"num_replicas": 2, "num_gpus": 0.5})
    planned = news.hotfire("deploy", "--env", "production", "--dry-run")
    assert (
        "files are added for Ray Serve: config.yaml, code/hotfire_worker/" in planned.stdout + planned.stderr
    )
    news.deploy()
    told, sagemaker = news.told("status"), news.aws.client("sagemaker")
    model = sagemaker.describe_model(ModelName=told["model"])
    assert model["PrimaryContainer"]["Image"].endswith("/ray:serve-ml-sagemaker-cuda-v1")
    (variant,) = sagemaker.describe_endpoint_config(EndpointConfigName=told["config"])["ProductionVariants"]
    assert variant["InferenceAmiVersion"] == "al2-ami-sagemaker-inference-gpu-3-1"
    (key,) = news.objects
    body = news.aws.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    with tarfile.open(fileobj=BytesIO(body)) as packed:
        assert {"config.yaml", "code/hotfire_worker/ray_app.py"} <= set(packed.getnames())


def test_a_first_deploy_makes_bucket_data_model_config_and_endpoint(news: ProductionProject) -> None:
    news.deploy()
    told = news.told("status")
    assert (told["state"], told["sha256"]) == ("InService", told["working_sha256"])
    (key,) = news.objects
    assert key == f"news/{told['sha256']}/model.tar.gz"
    model = news.aws.client("sagemaker").describe_model(ModelName=told["model"])
    container = model["PrimaryContainer"]
    assert container["ModelDataUrl"] == f"s3://{BUCKET}/{key}"
    assert container["Image"].endswith("dkr.ecr.eu-west-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312")
    assert model["ExecutionRoleArn"] == "arn:aws:iam::123456789012:role/news"


def test_the_bucket_is_made_in_the_region_and_closed_to_the_public(news: ProductionProject) -> None:
    news.deploy()
    s3 = news.aws.client("s3")
    assert s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] == "eu-west-1"
    closed = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    assert set(closed.values()) == {True}
    # CreateBucket alone cannot say whose it is to be.
    assert set(news.aws.owners) <= {"", "123456789012"}


def test_deployed_again_unchanged_it_does_nothing(news: ProductionProject) -> None:
    news.deploy()
    news.aws.steer(calls=[])
    assert news.hotfire("deploy", "--env", "production").returncode == 0
    assert writes(news.aws.calls) == []
    assert news.hotfire("deploy", "--env", "production", "--dry-run").returncode == 0


def test_what_costs_is_asked_for_only_the_first_time(news: ProductionProject) -> None:
    refused = news.hotfire("deploy", "--env", "production")
    assert refused.returncode == 2
    assert "to be paid for: 1 × ml.m5.large" in refused.stderr
    assert writes(news.aws.calls) == []
    news.deploy()
    news.edit(2)
    assert news.hotfire("deploy", "--env", "production").returncode == 0
    news.configure(instance_count=2)
    more = news.hotfire("deploy", "--env", "production")
    assert more.returncode == 2
    assert "2 × ml.m5.large, in place of 1 × ml.m5.large" in more.stderr


def test_a_price_that_is_known_is_named(news: ProductionProject) -> None:
    news.configure(region="us-east-1", model_data_path=None)
    done = news.hotfire("deploy", "--env", "production", "--dry-run")
    assert "1 × ml.m5.large (about $0.12 an hour, as of December 2024)" in done.stdout
    assert "s3://sagemaker-us-east-1-123456789012/news/" in done.stderr


def test_a_change_is_an_update_and_can_be_rolled_back(news: ProductionProject) -> None:
    news.deploy()
    first = news.told("status")
    news.edit(2)
    done = news.deploy()
    assert f"~ update endpoint news to {news.told('status')['config']}" in done.stdout
    back = news.told("rollback")
    assert (back["config"], news.told("status")["sha256"]) == (first["config"], first["sha256"])


def test_three_before_are_kept_with_their_data(news: ProductionProject) -> None:
    hashes = []
    for version in range(6):
        news.edit(version)
        news.deploy()
        hashes.append(news.told("status")["sha256"])
    assert sorted(news.objects) == sorted(f"news/{one}/model.tar.gz" for one in hashes[2:])
    assert len(news.aws.resources()) == 1 + 4 + 4


def test_data_that_another_endpoint_uses_stays(news: ProductionProject) -> None:
    news.deploy()
    news.configure(model_name="staging")
    news.deploy()
    before = news.objects
    assert news.hotfire("delete", "--env", "production", "--yes").returncode == 0
    assert news.objects == before
    news.configure()
    assert news.hotfire("delete", "--env", "production", "--yes").returncode == 0
    assert news.aws.objects(BUCKET) == {}


def test_delete_leaves_what_is_not_ours(news: ProductionProject) -> None:
    news.deploy()
    s3, sagemaker = news.aws.client("s3"), news.aws.client("sagemaker")
    s3.put_object(Bucket=BUCKET, Key="news/notes.txt", Body=b"mine")
    sagemaker.create_model(ModelName="news-0123456789ab", ExecutionRoleArn="arn:aws:iam::123456789012:role/x")
    assert news.hotfire("delete", "--env", "production").returncode == 2
    assert news.hotfire("delete", "--env", "production", "--yes").returncode == 0
    assert (news.aws.resources(), news.aws.objects(BUCKET)) == (["news-0123456789ab"], {"news/notes.txt": 4})


def test_an_archive_is_deployed_byte_for_byte(news: ProductionProject, tmp_path: Path) -> None:
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=9) as tar:
        tar.add(news.folder / "serve.py", "code/serve.py")
    archive = tmp_path / "staging.tar.gz"
    archive.write_bytes(packed.getvalue())
    news.deploy("--archive", str(archive))
    (key,) = news.objects
    body = news.aws.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert body == archive.read_bytes()
    assert news.told("status")["sha256"] == news.told("status")["working_sha256"]


def test_an_archive_is_served_here_too(project: Any) -> None:
    assert project.hotfire("pack").returncode == 0
    archive = project.folder / "build" / "model.tar.gz"
    project.edit("ANSWER = 1", "ANSWER = 2")
    assert project.hotfire("deploy", "--archive", str(archive)).returncode == 0
    assert project.ask()["answer"] == 1


def test_files_are_uploaded_once_and_copied_ever_after(news: ProductionProject) -> None:
    news.configure(model_data="folder", artifacts=["weights"])
    news.write("weights/a.bin", "a" * 1000)
    news.write("weights/b.bin", "b" * 1000)
    news.deploy()
    first = news.told("status")["sha256"]
    news.write("weights/b.bin", "c" * 1000)
    news.aws.steer(calls=[])
    done = news.deploy()
    assert "copy 2 of 3 files inside S3" in done.stdout
    second = news.told("status")["sha256"]
    uploaded = [call for call in news.aws.calls if call.startswith("S3 PUT") and "/files/" in call]
    assert uploaded == [f"S3 PUT /{BUCKET}/news/{second}/files/b.bin"]
    names = {"a.bin", "b.bin", "code/serve.py"}
    assert set(news.objects) == {
        *(f"news/{one}/files/{name}" for one in (first, second) for name in names),
        *(f"news/{one}/files.json" for one in (first, second)),
    }


def test_an_unknown_role_names_those_that_would_do(news: ProductionProject) -> None:
    news.configure(aws_role="new")
    done = news.hotfire(*YES)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == [
        "Error: there is no role 'new' in this account",
        "  → Did you mean 'news'? Those that trust SageMaker: news.",
    ]
    assert writes(news.aws.calls) == []


def test_the_bucket_of_another_account_is_refused(news: ProductionProject) -> None:
    news.aws.steer(foreign=[BUCKET])
    done = news.hotfire(*YES)
    assert done.returncode == 1
    assert f"the bucket {BUCKET} is not the account 123456789012's" in done.stderr
    assert writes(news.aws.calls) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"endpoint_config": {"ProductionVariants": [{"VolumeSizeInGb": 50}]}}, "'VolumeSizeInGB'"),
        ({"endpoint_config": {"DataCaptureConfig": {"EnableCapture": "yes"}}}, "must be true or false"),
        ({"vpc": {"Subnets": ["subnet-1"]}}, "vpc needs SecurityGroupIds"),
        ({"update": {"strategy": "canary"}}, "update.strategy must be blue_green, rolling or in_place"),
        ({"update": {"strategy": "rolling", "WaitIntervalInSeconds": 9999}}, "must be at most 3600"),
        ({"framework_version": "2.7"}, "The nearest is 2.6.0"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_wrong_setting_is_refused_with_its_line_before_any_call(
    news: ProductionProject, settings: dict[str, Any], message: str
) -> None:
    news.configure(**settings)
    done = news.hotfire(*YES)
    assert done.returncode == 1
    assert message in done.stderr
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("Error:")]
    place = error.split()[1]
    key = next(iter(settings))
    line = (news.folder / "config.yml").read_text().splitlines()[int(place.split(":")[1]) - 1]
    assert place.startswith(str(news.folder / "config.yml"))
    assert line.startswith("      ")
    assert key in (news.folder / "config.yml").read_text()
    assert news.aws.calls == []


def test_a_refused_endpoint_leaves_no_orphan(news: ProductionProject) -> None:
    news.aws.steer(
        refuse={"CreateEndpoint": ["ResourceLimitExceeded", "The account-level service limit 'x' is 0."]}
    )
    done = news.hotfire(*YES)
    assert done.returncode == 1
    assert "create endpoint news" in done.stderr
    assert "quota" in done.stderr
    assert (news.aws.resources(), news.aws.objects(BUCKET)) == ([], {})


def test_a_refused_update_leaves_everything_as_it_was(news: ProductionProject) -> None:
    news.deploy()
    before = news.state
    news.edit(2)
    news.aws.steer(refuse={"UpdateEndpoint": ["ValidationException", "Cannot update."]})
    assert news.hotfire(*YES).returncode == 1
    assert news.state == before


def test_a_model_that_fails_at_aws_is_told_with_its_last_lines(news: ProductionProject) -> None:
    reason = "The primary container for production variant AllTraffic did not pass the ping health check."
    news.aws.steer(states={"CreateEndpoint": ["Creating", f"Failed:{reason}"]})
    logs = news.aws.client("logs")
    logs.create_log_group(logGroupName="/aws/sagemaker/Endpoints/news")
    logs.create_log_stream(logGroupName="/aws/sagemaker/Endpoints/news", logStreamName="AllTraffic/i-0")
    waiting = news.aws.log_later("news", "AllTraffic/i-1", "ModuleNotFoundError: No module named 'spacy'")
    with waiting:
        done = news.hotfire(*YES)
    assert done.returncode == 1
    assert reason in done.stderr
    assert "ModuleNotFoundError: No module named 'spacy'" in done.stderr
    assert "Add the line `spacy` to the requirements.txt" in done.stderr
    assert (news.aws.resources(), news.aws.objects(BUCKET)) == ([], {})


def test_an_update_that_fails_leaves_what_served(news: ProductionProject) -> None:
    news.deploy()
    before = news.state
    news.edit(2)
    news.aws.steer(states={"UpdateEndpoint": ["InService:It did not start."]})
    done = news.hotfire(*YES)
    assert done.returncode == 1
    assert "It did not start." in done.stderr
    assert f"{before[1][0]} serves on as before" in done.stderr
    assert news.state == before


@pytest.fixture
def large(news: ProductionProject) -> ProductionProject:
    """A project of several parts that cannot be packed to fewer."""
    news.configure(artifacts=["weights.bin"])
    (news.folder / "weights.bin").write_bytes(os.urandom(40 << 20))
    return news


def started(news: ProductionProject) -> subprocess.Popen[str]:
    """A deploy whose upload does not come to its end."""
    command = [sys.executable, "-m", "hotfire", *YES]
    environment = news._project.machine.environment(**KEYS)
    options: dict[str, Any] = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
    }
    news.aws.steer(parts=2)
    process = subprocess.Popen(command, cwd=news.folder, env=environment, text=True, **options)
    deadline = time.monotonic() + 60
    while len(parts(news)) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None
    return process


def parts(news: ProductionProject) -> list[int]:
    """The numbers of the parts that S3 has of what is not there whole."""
    s3 = news.aws.client("s3")
    if "CreateMultipartUpload" not in news.aws.calls:
        return []
    begun = s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]
    found = [s3.list_parts(Bucket=BUCKET, Key=one["Key"], UploadId=one["UploadId"]) for one in begun]
    return [part["PartNumber"] for one in found for part in one.get("Parts", ())]


def test_a_killed_upload_goes_on_where_it_was(large: ProductionProject) -> None:
    process = started(large)
    process.kill()
    process.communicate()
    large.aws.steer(parts=None, calls=[])
    large.deploy()
    assert large.aws.calls.count("UploadPart") == 1
    assert "CreateMultipartUpload" not in large.aws.calls
    assert large.told("status")["state"] == "InService"


def test_a_deploy_that_succeeds_leaves_nothing_unfinished(large: ProductionProject) -> None:
    process = started(large)
    process.kill()
    process.communicate()
    large.aws.steer(parts=None)
    large.deploy()
    s3 = large.aws.client("s3")
    assert s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []
    assert len(large.aws.objects(BUCKET)) == 2
    assert list((large._project.machine.home / "packed").iterdir()) == []


def test_an_interrupted_wait_leaves_the_deployment_going(news: ProductionProject) -> None:
    news.aws.steer(states={"CreateEndpoint": ["Creating"] * 1000})
    command = [sys.executable, "-m", "hotfire", *YES]
    environment = news._project.machine.environment(**KEYS)
    options: dict[str, Any] = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
    }
    process = subprocess.Popen(command, cwd=news.folder, env=environment, text=True, **options)
    deadline = time.monotonic() + 60
    while "CreateEndpoint" not in news.aws.calls or "DescribeEndpoint" not in news.aws.calls[-3:]:
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "`hotfire status --env production` shows what comes of it" in said
    assert "`hotfire delete --env production` undoes it" in said
    assert "news" in news.aws.resources()


def test_autoscaling_follows_the_endpoint(news: ProductionProject) -> None:
    scaling = news.aws.client("application-autoscaling")

    def targets() -> list[tuple[str, int, int]]:
        found = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
        return [(one["ResourceId"], one["MinCapacity"], one["MaxCapacity"]) for one in found]

    news.configure(autoscaling={"min": 1, "max": 3, "target": 100})
    done = news.hotfire("deploy", "--env", "production")
    assert "up to 3 by autoscaling" in done.stderr
    news.deploy()
    assert targets() == [("endpoint/news/variant/AllTraffic", 1, 3)]
    news.configure(autoscaling={"min": 1, "max": 5, "target": 100})
    more = news.hotfire("deploy", "--env", "production")
    assert (more.returncode, targets()[0][2]) == (2, 3)
    news.deploy()
    assert targets() == [("endpoint/news/variant/AllTraffic", 1, 5)]
    assert news.hotfire("deploy", "--env", "production", "--dry-run").returncode == 0
    assert news.hotfire("delete", "--env", "production", "--yes").returncode == 0
    assert targets() == []


def test_a_shell_that_points_at_the_local_region_cannot_deploy_to_production(project: Any, aws: Any) -> None:
    """Neither there, nor here by mistake: no call goes out at all."""
    news = ProductionProject(project, aws)
    project.deploy()
    before = project.told("status")["config"]
    aws.steer(calls=[])
    exports = project.machine.exports()
    done = news.hotfire(*YES, **exports)
    assert done.returncode == 1
    assert "this shell's keys are the local region's" in done.stderr
    assert aws.calls == []
    # Nor where the imitation is what the shell points at, in place of AWS.
    news.configure(endpoint_url=None)
    done = news.hotfire(*YES, **(exports | {"AWS_ENDPOINT_URL": aws.url}))
    assert done.returncode == 1
    assert aws.calls == []
    assert project.told("status")["config"] == before
    with project.machine.client() as client:
        assert [one["EndpointName"] for one in client.list_endpoints()["Endpoints"]] == [project.name]
