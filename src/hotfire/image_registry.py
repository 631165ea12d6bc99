"""The repository of ECR that an image of one's own is pushed to, in the caller's own account."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from hotfire.calls import tag_list
from hotfire.container_images import credentials
from hotfire.inventory import errors
from hotfire.wanted import PROJECT_TAG


class Registry:
    """A repository by its name, by a boto3 `ecr` client. Every method raises DeployError."""

    def __init__(self, client: Any, name: str) -> None:
        self._client, self.name = client, name

    @property
    def address(self) -> str:
        """What its images' names begin with: `123456789012.dkr.ecr.eu-west-1.amazonaws.com/NAME`."""
        return f"{urlsplit(self._access['proxyEndpoint']).netloc}/{self.name}"

    def login(self) -> Mapping[str, str]:
        """`username` and `password`, for half a day."""
        return credentials(self._access["authorizationToken"])

    def exists(self) -> bool:
        """Whether there is such a repository."""
        return self._found() is not None

    def has(self, tag: str) -> bool:
        """Whether it holds an image of that tag."""
        missing = self._client.exceptions
        with errors(f"look for {self.name}:{tag} in ECR"):
            try:
                self._client.describe_images(repositoryName=self.name, imageIds=[{"imageTag": tag}])
            except (missing.RepositoryNotFoundException, missing.ImageNotFoundException):
                return False
        return True

    def create(self, tags: Mapping[str, str]) -> None:
        """Make it. What a tag names in it is never another image afterwards."""
        with errors(f"create the repository {self.name} in ECR"):
            self._client.create_repository(
                repositoryName=self.name, imageTagMutability="IMMUTABLE", tags=tag_list(tags)
            )

    def remove(self, project: str) -> bool:
        """Delete it with all its images, if it was made for the project; whether it was."""
        found = self._found()
        if found is None:
            return False
        with errors(f"delete the repository {self.name} in ECR"):
            tags = self._client.list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"]
            if {tag["Key"]: tag["Value"] for tag in tags}.get(PROJECT_TAG) != project:
                return False
            self._client.delete_repository(repositoryName=self.name, force=True)
        return True

    @cached_property
    def _access(self) -> Mapping[str, str]:
        """Where the account's registry is, and the login to it."""
        with errors("log in to ECR"):
            answer: Mapping[str, str] = self._client.get_authorization_token()["authorizationData"][0]
        return answer

    def _found(self) -> Mapping[str, Any] | None:
        with errors(f"look for the repository {self.name} in ECR"):
            try:
                answer = self._client.describe_repositories(repositoryNames=[self.name])
            except self._client.exceptions.RepositoryNotFoundException:
                return None
        found: Mapping[str, Any] = answer["repositories"][0]
        return found
