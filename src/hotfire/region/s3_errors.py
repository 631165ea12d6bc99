"""S3's own errors: what its clients tell apart by code."""

from __future__ import annotations

from hotfire.errors import ServiceError


class S3Error(ServiceError):
    """An error of S3. `members` are the further elements of its document: Key, BucketName."""

    code, status = "InvalidRequest", 400


class InvalidArgument(S3Error):
    """A parameter, or a key that no file can have."""

    code = "InvalidArgument"


class InvalidBucketName(S3Error):
    """What is no bucket's name."""

    code = "InvalidBucketName"


class KeyTooLong(S3Error):
    """A key of over 1,024 bytes."""

    code = "KeyTooLongError"


class MalformedXML(S3Error):
    """A body that is not the document that it should be."""

    code = "MalformedXML"


class BadDigest(S3Error):
    """The content is not what its checksum says."""

    code = "BadDigest"


class InvalidDigest(S3Error):
    """A checksum that is none."""

    code = "InvalidDigest"


class ContentMismatch(S3Error):
    """The content is not what was signed."""

    code = "XAmzContentSHA256Mismatch"


class IncompleteBody(S3Error):
    """Less or more came than was announced."""

    code = "IncompleteBody"


class MissingContentLength(S3Error):
    """A content whose length is not said beforehand."""

    code, status = "MissingContentLength", 411


class InvalidPart(S3Error):
    """A part that was not uploaded, or another one."""

    code = "InvalidPart"


class InvalidPartOrder(S3Error):
    """Parts that are not named in the order of their numbers."""

    code = "InvalidPartOrder"


class EntityTooSmall(S3Error):
    """A part, not the last, of under 5 MiB."""

    code = "EntityTooSmall"


class EntityTooLarge(S3Error):
    """A document or an object that is too large."""

    code = "EntityTooLarge"


class NoSuchBucket(S3Error):
    """A bucket that is not there."""

    code, status = "NoSuchBucket", 404


class NoSuchKey(S3Error):
    """An object that is not there."""

    code, status = "NoSuchKey", 404


class NoSuchUpload(S3Error):
    """A multipart upload that is not under way."""

    code, status = "NoSuchUpload", 404


class BucketNotEmpty(S3Error):
    """A bucket that still has objects cannot be deleted."""

    code, status = "BucketNotEmpty", 409


class BucketAlreadyOwnedByYou(S3Error):
    """The bucket is there already."""

    code, status = "BucketAlreadyOwnedByYou", 409


class InvalidRange(S3Error):
    """A range that begins after the end."""

    code, status = "InvalidRange", 416


class PreconditionFailed(S3Error):
    """A condition of the request does not hold."""

    code, status = "PreconditionFailed", 412


class NotModified(S3Error):
    """The client has the object already."""

    code, status = "NotModified", 304


class AccessDeniedByS3(S3Error):
    """A presigned address that is no longer good."""

    code, status = "AccessDenied", 403


class NotImplementedByS3(S3Error):
    """What the local region cannot do, or not as it is installed."""

    code, status = "NotImplemented", 501


class SlowDown(S3Error):
    """The store of bodies does not answer now; clients ask again."""

    code, status = "SlowDown", 503


class NoSuchSetting(S3Error):
    """A bucket's sub-resource to which nothing was put. Each sub-resource has a code of its own for it."""

    status = 404

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.own_code = code
