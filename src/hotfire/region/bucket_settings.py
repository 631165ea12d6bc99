"""S3's operations on buckets and on their sub-resources.

A sub-resource answers as AWS's does for a plain bucket, until something is put there: then with that. What
is put changes nothing else: the region keeps no versions and lets its user do everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hotfire.region.caller import Answer, Caller, Operation
from hotfire.region.object_listing import is_empty
from hotfire.region.object_records import BucketRecord
from hotfire.region.s3_errors import BucketAlreadyOwnedByYou, BucketNotEmpty, NoSuchSetting
from hotfire.region.vault import GRANTS, OWNER, Vault

_LOCATION = "Location"


@dataclass(frozen=True, slots=True)
class Setting:
    """A sub-resource: the operations that get, put and delete it, and what a plain bucket answers.

    `payload` is the member that an answer and a request hold it in; an empty one stands for all members
    of the answer, which the request holds in `given`.
    """

    get: str
    put: str = ""
    delete: str = ""
    payload: str = ""
    given: str = ""
    plain: Mapping[str, Any] | None = None
    absent: tuple[str, str] = ("", "")


_ENCRYPTION = {
    "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}]
}
_BLOCKED = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}

SETTINGS = (
    Setting(
        "GetBucketAccelerateConfiguration",
        "PutBucketAccelerateConfiguration",
        given="AccelerateConfiguration",
        plain={},
    ),
    Setting("GetBucketAcl", plain={"Owner": OWNER, "Grants": GRANTS}),
    Setting(
        "GetBucketCors",
        "PutBucketCors",
        "DeleteBucketCors",
        given="CORSConfiguration",
        absent=("NoSuchCORSConfiguration", "The CORS configuration does not exist"),
    ),
    Setting(
        "GetBucketEncryption",
        "PutBucketEncryption",
        "DeleteBucketEncryption",
        payload="ServerSideEncryptionConfiguration",
        plain=_ENCRYPTION,
    ),
    Setting(
        "GetBucketLifecycleConfiguration",
        "PutBucketLifecycleConfiguration",
        "DeleteBucketLifecycle",
        given="LifecycleConfiguration",
        absent=("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"),
    ),
    Setting("GetBucketLogging", "PutBucketLogging", given="BucketLoggingStatus", plain={}),
    Setting(
        "GetBucketNotificationConfiguration",
        "PutBucketNotificationConfiguration",
        given="NotificationConfiguration",
        plain={},
    ),
    Setting(
        "GetBucketOwnershipControls",
        "PutBucketOwnershipControls",
        "DeleteBucketOwnershipControls",
        payload="OwnershipControls",
        plain={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
    ),
    Setting(
        "GetBucketPolicy",
        "PutBucketPolicy",
        "DeleteBucketPolicy",
        payload="Policy",
        absent=("NoSuchBucketPolicy", "The bucket policy does not exist"),
    ),
    Setting("GetBucketPolicyStatus", payload="PolicyStatus", plain={"IsPublic": False}),
    Setting(
        "GetBucketReplication",
        "PutBucketReplication",
        "DeleteBucketReplication",
        payload="ReplicationConfiguration",
        absent=("ReplicationConfigurationNotFoundError", "The replication configuration was not found"),
    ),
    Setting(
        "GetBucketRequestPayment",
        "PutBucketRequestPayment",
        given="RequestPaymentConfiguration",
        plain={"Payer": "BucketOwner"},
    ),
    Setting(
        "GetBucketTagging",
        "PutBucketTagging",
        "DeleteBucketTagging",
        given="Tagging",
        absent=("NoSuchTagSet", "The TagSet does not exist"),
    ),
    Setting("GetBucketVersioning", plain={}),
    Setting(
        "GetBucketWebsite",
        "PutBucketWebsite",
        "DeleteBucketWebsite",
        given="WebsiteConfiguration",
        absent=("NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration"),
    ),
    Setting(
        "GetObjectLockConfiguration",
        payload="ObjectLockConfiguration",
        absent=(
            "ObjectLockConfigurationNotFoundError",
            "Object Lock configuration does not exist for this bucket",
        ),
    ),
    Setting(
        "GetPublicAccessBlock",
        "PutPublicAccessBlock",
        "DeletePublicAccessBlock",
        payload="PublicAccessBlockConfiguration",
        plain=_BLOCKED,
    ),
)
"""The sub-resources. A bucket's versions are not among what can be put: it would change what objects are."""


class BucketSettings:
    """S3's operations on buckets."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self.operations: Mapping[str, Operation] = {
            "CreateBucket": self.create_bucket,
            "DeleteBucket": self.delete_bucket,
            "GetBucketLocation": self.get_bucket_location,
            "HeadBucket": self.head_bucket,
            "ListBuckets": self.list_buckets,
            **{setting.get: self._getting(setting) for setting in SETTINGS},
            **{setting.put: self._putting(setting) for setting in SETTINGS if setting.put},
            **{setting.delete: self._deleting(setting) for setting in SETTINGS if setting.delete},
        }

    def list_buckets(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """All buckets, those that were made as folders too."""
        prefix, after = params.get("Prefix", ""), params.get("ContinuationToken", "")
        names = [name for name in self._vault.buckets.names() if name.startswith(prefix) and name > after]
        shown = names[: params.get("MaxBuckets", len(names))]
        records = [self._vault.bucket({"Bucket": name}) for name in shown]
        more = {"ContinuationToken": shown[-1]} if shown and len(shown) < len(names) else {}
        buckets = [
            {"Name": one.name, "CreationDate": one.created, "BucketRegion": _region_of(one, caller)}
            for one in records
        ]
        return {"Buckets": buckets, "Owner": OWNER, **more}

    def create_bucket(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Make a bucket."""
        name = params["Bucket"]
        self._vault.check_new_name(name)
        location = params.get("CreateBucketConfiguration", {}).get("LocationConstraint", caller.region)
        if self._vault.buckets.bucket(name) is not None:
            # As AWS does in us-east-1 alone: there nothing is wrong in asking for what one has.
            if location != "us-east-1":
                raise BucketAlreadyOwnedByYou(
                    "Your previous request to create the named bucket succeeded and you already own it.",
                    BucketName=name,
                )
            return {"Location": f"/{name}"}
        self._vault.buckets.create(name, {_LOCATION: location})
        return {"Location": f"/{name}"}

    def delete_bucket(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Remove a bucket, which must be empty."""
        name = self._vault.bucket(params).name
        folder = self._vault.buckets.folder(name)
        empty = is_empty(folder, frozenset(self._vault.records.folders(name)))
        if not (empty and self._vault.buckets.delete(name)):
            raise BucketNotEmpty("The bucket you tried to delete is not empty", BucketName=name)
        return {}

    def head_bucket(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Whether a bucket is there."""
        return {"BucketRegion": _region_of(self._vault.bucket(params), caller), "AccessPointAlias": False}

    def get_bucket_location(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """The AWS region that a bucket was made in."""
        region = _region_of(self._vault.bucket(params), caller)
        return {"LocationConstraint": "" if region == "us-east-1" else region}

    def _getting(self, setting: Setting) -> Operation:
        def get(caller: Caller, params: Mapping[str, Any]) -> Answer:
            """What was put there, else what a plain bucket of AWS's answers."""
            found = self._vault.bucket(params).settings.get(setting.get, setting.plain)
            if found is None:
                raise NoSuchSetting(*setting.absent)
            return {setting.payload: found} if setting.payload else dict(found)

        return get

    def _putting(self, setting: Setting) -> Operation:
        def put(caller: Caller, params: Mapping[str, Any]) -> Answer:
            """Kept and told; it changes nothing else."""
            bucket = self._vault.bucket(params)
            self._keep(bucket, {**bucket.settings, setting.get: params[setting.payload or setting.given]})
            return {}

        return put

    def _deleting(self, setting: Setting) -> Operation:
        def delete(caller: Caller, params: Mapping[str, Any]) -> Answer:
            """Forget what was put there."""
            bucket = self._vault.bucket(params)
            self._keep(
                bucket, {name: value for name, value in bucket.settings.items() if name != setting.get}
            )
            return {}

        return delete

    def _keep(self, bucket: BucketRecord, settings: Mapping[str, Any]) -> None:
        self._vault.records.put_bucket(BucketRecord(bucket.name, bucket.created, settings))


def _region_of(bucket: BucketRecord, caller: Caller) -> str:
    """Where a bucket was made; one that is but a folder is wherever it is asked for."""
    return str(bucket.settings.get(_LOCATION, caller.region))
