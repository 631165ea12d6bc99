"""S3's operations that list the objects of a bucket."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from hotfire.region.buckets import Stored
from hotfire.region.caller import Answer, Caller, Operation
from hotfire.region.object_listing import Page, Wanted, page
from hotfire.region.s3_errors import InvalidArgument
from hotfire.region.vault import OWNER, Vault

_MOST = 1000

Encode = Callable[[str], str]


class BucketPages:
    """The operations by the names of the API."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self.operations: Mapping[str, Operation] = {
            "ListObjectVersions": self.list_object_versions,
            "ListObjects": self.list_objects,
            "ListObjectsV2": self.list_objects_v2,
        }

    async def list_objects(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Keys and common prefixes in the order of their bytes, by pages."""
        after = params.get("Marker", "")
        found, encode, answer = await self._page(params, after)
        answer |= {"Marker": encode(after), "Contents": self._contents(params, found, encode, owner=True)}
        # Without a delimiter the last key says it.
        if found.last is not None and params.get("Delimiter"):
            answer["NextMarker"] = encode(found.last)
        return answer

    async def list_objects_v2(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """The same, with tokens for pages."""
        token = params.get("ContinuationToken", "")
        after = _read_token(token) if token else params.get("StartAfter", "")
        found, encode, answer = await self._page(params, after)
        contents = self._contents(params, found, encode, owner=params.get("FetchOwner", False))
        answer |= {"Contents": contents, "KeyCount": len(found.keys) + len(found.prefixes)}
        if token:
            answer["ContinuationToken"] = token
        if "StartAfter" in params:
            answer["StartAfter"] = encode(params["StartAfter"])
        if found.last is not None:
            answer["NextContinuationToken"] = base64.urlsafe_b64encode(found.last.encode()).decode()
        return answer

    async def list_object_versions(self, caller: Caller, params: Mapping[str, Any]) -> Answer:
        """Each object is its own only version."""
        after = params.get("KeyMarker", "")
        found, encode, answer = await self._page(params, after)
        contents = self._contents(params, found, encode, owner=True)
        versions = [{**one, "VersionId": "null", "IsLatest": True} for one in contents]
        answer |= {"KeyMarker": encode(after), "VersionIdMarker": "", "Versions": versions}
        if found.last is not None:
            answer |= {"NextKeyMarker": encode(found.last), "NextVersionIdMarker": "null"}
        return answer

    async def _page(self, params: Mapping[str, Any], after: str) -> tuple[Page, Encode, Answer]:
        """The page, how its keys are written, and what all of the answers have in common."""
        bucket = self._vault.bucket(params).name
        most = params.get("MaxKeys", _MOST)
        if most < 0:
            raise InvalidArgument("Argument maxKeys must be an integer between 0 and 2147483647")
        wanted = Wanted(params.get("Prefix", ""), params.get("Delimiter", ""), after, min(most, _MOST))
        markers = frozenset(self._vault.records.folders(bucket))
        folder = self._vault.buckets.folder(bucket)
        found = await asyncio.to_thread(page, folder, markers, wanted) if most else Page((), (), None)
        encode: Encode = quote if params.get("EncodingType") == "url" else str
        answer: Answer = {
            "Name": bucket,
            "Prefix": encode(wanted.prefix),
            "MaxKeys": most,
            "IsTruncated": found.last is not None,
            "CommonPrefixes": [{"Prefix": encode(prefix)} for prefix in found.prefixes],
            "Delimiter": encode(wanted.delimiter) or None,
            "EncodingType": params.get("EncodingType"),
        }
        return found, encode, answer

    def _contents(
        self, params: Mapping[str, Any], found: Page, encode: Encode, *, owner: bool
    ) -> list[dict[str, Any]]:
        objects = (self._vault.buckets.find(params["Bucket"], key) for key in found.keys)
        # What was removed since the page was made is passed over.
        return [_entry(one, encode, owner=owner) for one in objects if one is not None]


def _entry(one: Stored, encode: Encode, *, owner: bool) -> dict[str, Any]:
    return {
        "Key": encode(one.key),
        "LastModified": one.modified,
        "ETag": f'"{one.etag}"',
        "Size": one.size,
        "StorageClass": one.facts.get("StorageClass", "STANDARD"),
        **({"Owner": OWNER} if owner else {}),
    }


def _read_token(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token).decode()
    except (binascii.Error, ValueError):
        raise InvalidArgument("The continuation token provided is incorrect") from None
