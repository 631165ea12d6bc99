"""AWS as a destination: an account, a region of it, and a bucket for model data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from hotfire.bucket import Bucket
from hotfire.deploy_env import DeployEnv
from hotfire.deployment import Report
from hotfire.depot import Depot, parted
from hotfire.destination import Carriage, Pace, Placement
from hotfire.environment import home
from hotfire.examples import Example
from hotfire.image_build import repository
from hotfire.image_delivery import Delivery, telling
from hotfire.image_registry import Registry
from hotfire.inventory import errors
from hotfire.model_data import ModelData


class Aws:
    """The endpoint's place in the account whose credentials the environment names."""

    pace = Pace(5.0, reads_log=True)
    charges = True

    def __init__(self, env: DeployEnv) -> None:
        self._env, self._environment = env, env.environment

    def introduction(self) -> str:
        """The account, the AWS region and the caller's ARN."""
        return f"AWS account {self._caller['Account']}, {self._region}, as {self._caller['Arn']}"

    def caller(self) -> str:
        """The caller's ARN."""
        return str(self._caller["Arn"])

    def prepare(self) -> None:
        """Nothing: AWS begins when it is told to."""

    def locate(self, data: ModelData) -> Placement:
        """In the folder of `model_data_path`, or in SageMaker's default bucket."""
        placement = self._depot.locate(data)
        if self._has_path:
            return placement
        note = f"No model_data_path in S3 is given: SageMaker's default bucket is used, {placement.url}"
        return replace(placement, note=note)

    def put(self, data: ModelData, placement: Placement, report: Report, previous: str | None) -> None:
        """Upload what is not there."""
        self._depot.put(data, placement, report, previous)

    def carriage(self, data: ModelData, report: Report, *, dry_run: bool) -> Carriage:
        """The image of one's own, in a repository of ECR's."""
        if not self._environment.builds_image:
            return Carriage()
        return self._delivery.planned(data.requirements, telling(report), dry_run=dry_run)

    def carry(self, data: ModelData, carriage: Carriage, report: Report) -> None:
        """Build it here, and push it."""
        self._delivery.carry(data.requirements, carriage, telling(report))

    def remove_images(self) -> tuple[str, ...]:
        """Delete the repository, if it was made for this endpoint."""
        return self._delivery.removed() if self._environment.builds_image else ()

    def brought(self) -> Mapping[str, bool]:
        """The folders of what was uploaded for this endpoint."""
        return self._depot.brought()

    def remove(self, urls: Iterable[str]) -> None:
        """Remove what was uploaded there, unless another endpoint uses it."""
        self._depot.remove(urls)

    def show(self, examples: Sequence[Example]) -> None:
        """Nothing: there is no page."""

    def page(self) -> None:
        """None."""

    @cached_property
    def _caller(self) -> Mapping[str, Any]:
        with errors("find out whose credentials these are"):
            return dict(self._env.client_for("sts").get_caller_identity())

    @cached_property
    def _delivery(self) -> Delivery:
        registry = Registry(self._env.client_for("ecr"), repository(self._environment))
        return Delivery(self._environment, registry)

    @property
    def _region(self) -> str:
        return str(self._env.client_for("sts").meta.region_name)

    @property
    def _has_path(self) -> bool:
        """Whether config.yml says where in S3; a `file://` path is where `hotfire pack` writes."""
        return (self._environment.model_data_path or "").startswith("s3://")

    @cached_property
    def _depot(self) -> Depot:
        environment, account = self._environment, str(self._caller["Account"])
        default = f"s3://sagemaker-{self._region}-{account}/{environment.model_name}/"
        name, folder = parted(str(environment.model_data_path) if self._has_path else default)
        key = environment.kms_key
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
        bucket = Bucket(self._env.client_for("s3"), name, account, encryption)
        as_files = environment.model_data == "folder"
        return Depot(bucket, folder, environment.model_name, home() / "packed", as_files=as_files)
