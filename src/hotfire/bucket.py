"""An S3 bucket that must be of one's own account: every call says so, and S3 refuses it in any other."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hotfire.errors import DeployError
from hotfire.inventory import errors
from hotfire.uploads import Progress, Target, abort, upload

_MOST_DELETED = 1000
_OWNER, _SOURCE_OWNER = "ExpectedBucketOwner", "ExpectedSourceBucketOwner"


class Bucket:
    """The bucket `name` of an account; `encryption` are the members that ask S3 to encrypt what is put."""

    def __init__(
        self, client: Any, name: str, account: str, encryption: Mapping[str, str] | None = None
    ) -> None:
        self._client, self.name, self._account = client, name, account
        self._region = str(client.meta.region_name)
        self._encryption = encryption or {}
        # Wherever boto3 itself makes calls for us, too.
        client.meta.events.register("provide-client-params.s3.*", self._expect_owner, unique_id="owner")

    def _expect_owner(self, params: dict[str, Any], model: Any, **_: Any) -> dict[str, Any]:
        members = model.input_shape.members if model.input_shape else {}
        owners = {name: self._account for name in (_OWNER, _SOURCE_OWNER) if name in members}
        return {**params, **owners}

    def exists(self) -> bool:
        """Whether it is there. Raises DeployError if it is another account's, or another region's."""
        from botocore.exceptions import ClientError

        with errors(f"look for the bucket {self.name}"):
            try:
                found = self._client.head_bucket(Bucket=self.name)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code == "404":
                    return False
                if code == "403":
                    raise self._foreign() from error
                raise
        region = found.get("BucketRegion", self._region)
        if region != self._region:
            message = f"the bucket {self.name} is in {region}, and the endpoint is to be in {self._region}"
            advice = "SageMaker reads model data in its own region: name a bucket there by `model_data_path`."
            raise DeployError(message, advice)
        return True

    def _foreign(self) -> DeployError:
        message = f"the bucket {self.name} is not the account {self._account}'s, or may not be listed by you"
        advice = "Name one of your own in `model_data_path`; if it is, allow yourself s3:ListBucket on it."
        return DeployError(message, advice)

    def create(self) -> None:
        """Make it, with all public access blocked. That it is ours already is no error."""
        where = {"LocationConstraint": self._region}
        # The first region is the one that must not be named.
        more = {} if self._region == "us-east-1" else {"CreateBucketConfiguration": where}
        closed = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        with errors(f"create the bucket {self.name}"):
            try:
                self._client.create_bucket(Bucket=self.name, **more)
            except self._client.exceptions.BucketAlreadyOwnedByYou:
                return
            self._client.put_public_access_block(
                Bucket=self.name, PublicAccessBlockConfiguration=dict.fromkeys(closed, True)
            )

    def sizes(self, prefix: str) -> dict[str, int]:
        """The keys below a prefix, each with its bytes."""
        return {one["Key"]: one["Size"] for one in self._listed(prefix)}

    def ages(self, prefix: str) -> dict[str, float]:
        """The keys below a prefix, each with the seconds since it was written."""
        now = datetime.now(UTC)
        return {one["Key"]: (now - one["LastModified"]).total_seconds() for one in self._listed(prefix)}

    def _listed(self, prefix: str) -> list[dict[str, Any]]:
        with errors(f"list {self.url(prefix)}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
            return [one for page in pages for one in page.get("Contents", ())]

    def read(self, key: str) -> bytes:
        """What an object holds."""
        with errors(f"read {self.url(key)}"):
            return bytes(self._client.get_object(Bucket=self.name, Key=key)["Body"].read())

    def write(self, key: str, content: bytes) -> None:
        """A small object."""
        with errors(f"write {self.url(key)}"):
            self._client.put_object(Bucket=self.name, Key=key, Body=content, **self._encryption)

    def upload(self, file: Path, key: str, progress: Progress) -> None:
        """A file of any size; what an interrupted try has sent is not sent again."""
        with errors(f"upload to {self.url(key)}"), _read(file):
            upload(self._client, file, Target(self.name, key, self._encryption), progress)

    def copy(self, source: str, key: str) -> None:
        """An object to another key, inside S3, whatever its size."""
        with errors(f"copy to {self.url(key)}"):
            origin = {"Bucket": self.name, "Key": source}
            self._client.copy(origin, self.name, key, ExtraArgs=dict(self._encryption))

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects."""
        left = [{"Key": key} for key in keys]
        while left:
            listed, left = left[:_MOST_DELETED], left[_MOST_DELETED:]
            with errors(f"delete {self.url(listed[0]['Key'])}"):
                answer = self._client.delete_objects(
                    Bucket=self.name, Delete={"Objects": listed, "Quiet": True}
                )
            for failed in answer.get("Errors", ()):
                raise DeployError(f"delete {self.url(failed['Key'])}: {failed['Message']} ({failed['Code']})")

    def abort(self, prefixes: Collection[str]) -> None:
        """Have S3 forget what was never uploaded whole."""
        for prefix in prefixes:
            with errors(f"clear up {self.url(prefix)}"):
                abort(self._client, self.name, prefix)

    def url(self, key: str) -> str:
        """`s3://bucket/key`."""
        return f"s3://{self.name}/{key}"


@contextmanager
def _read(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DeployError(f"{file} cannot be read: {error.strerror}") from error
