"""Every error of ours, in one tree.

HotfireError                      the user can mend it: one message, one next step; exit 1
├── ConfigError                   config.yml: the file, line, column and key
├── ProjectError                  the project's files: a missing entry point, artifact, example
│   └── HandlerError              the handler's source: a syntax error, functions that exclude each other
├── ImageError                    an image that AWS does not have; the key that asks for it
├── ArchiveError                  model data that cannot be packed or must not be unpacked
├── RegionError                   the local region as its clients see it
│   ├── RegionNotRunning
│   ├── RegionMismatch            a region of another version
│   ├── PortInUse
│   ├── LeaseTaken                `hotfire dev` serves the endpoint already
│   └── StoreError                its database is of a newer version, or cannot be opened
├── DeployError                   a call of the plan that failed
│   ├── ForeignEndpoint           the endpoint is another project's
│   ├── Unreachable               nothing there answers any request
│   ├── EndpointFailed            it did not come into service
│   └── EndpointIncomplete        it did, but what it needs besides failed
├── PackageMissing                a package that is not installed in this Python
├── InputError                    what is given to a model does not fit its inputs
├── UsageError                    exit 2
├── ApiError                      what the public API answers in place of a prediction: a code and a status
├── InstanceError                 what hosts a variant, as `endpoints` sees it
│   ├── LoadFailed                the handler could not load; carries its traceback
│   │   └── HostAway              what it is to run on does not answer now; it may later
│   ├── EngineError               what runs containers refuses
│   │   ├── EngineAway            it does not answer
│   │   ├── PortTaken             somebody else took the port that it had chosen
│   │   └── ContainerGone         it knows no such container any more
│   ├── WorkerDied                with a request in hand
│   ├── DeadlineExceeded          a request took longer than it may
│   ├── StreamBroken              an answer that broke off in the middle
│   └── QueueFull                 more requests wait than may
└── ServiceError                  what an AWS client is answered: a code and an HTTP status
    ├── ValidationException       400
    ├── SerializationException    400
    ├── UnknownOperation          400
    ├── UnrecognizedClient        403
    ├── InvalidSignature          403
    ├── AccessDenied              403
    ├── ResourceInUse             400
    ├── ResourceNotFound          400
    ├── ResourceLimitExceeded     400
    ├── LogGroupNotFound          400  (logs)
    ├── InvalidParameter          400  (logs)
    ├── ValidationError           400  (runtime)
    ├── ModelError                424  (runtime)
    ├── ModelStreamError          424  (runtime; in the middle of a stream)
    ├── InternalStreamFailure     500  (runtime; in the middle of a stream)
    ├── ModelNotReady             429  (runtime)
    ├── Throttling                429  (runtime)
    ├── S3Error                   3xx to 5xx  (region/s3_errors.py: S3's own codes)
    ├── InternalFailure           500
    └── ServiceUnavailable        503
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar


class HotfireError(Exception):
    """Something the user can mend.

    `message` says what was wrong and where, `advice` what to do next; both are whole sentences
    without a trailing newline.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice


class ConfigError(HotfireError):
    """A mistake in `config.yml`. `line` and `column` count from 1, as editors do."""

    def __init__(
        self,
        message: str,
        advice: str = "",
        *,
        file: Path | None = None,
        line: int | None = None,
        column: int | None = None,
        key: str | None = None,
    ) -> None:
        place = ":".join(str(part) for part in (file, line, column) if part is not None)
        super().__init__(f"{place}: {message}" if place else message, advice)
        self.file, self.line, self.column, self.key = file, line, column, key


class ProjectError(HotfireError):
    """A file of the project is missing or is not what it must be."""


class HandlerError(ProjectError):
    """The handler's source cannot be served as it stands."""


class ImageError(HotfireError):
    """An image that is not there for what `config.yml` says. `key` is the one that asks for it."""

    def __init__(self, message: str, advice: str = "", *, key: str) -> None:
        super().__init__(message, advice)
        self.key = key


class ArchiveError(HotfireError):
    """Model data that cannot be packed, or an archive that must not be unpacked."""


class RegionError(HotfireError):
    """The local region cannot be reached or started."""


class RegionNotRunning(RegionError):
    """No region of this user answers."""


class RegionMismatch(RegionError):
    """The region that answers is of another version of Hotfire."""


class PortInUse(RegionError):
    """The port that was asked for is another program's."""


class LeaseTaken(RegionError):
    """`hotfire dev` serves the endpoint, which nobody else can take or change meanwhile."""


class StoreError(RegionError):
    """The region's database cannot be used."""


class DeployError(HotfireError):
    """A call of the plan failed; what it began has been undone."""


class ForeignEndpoint(DeployError):
    """The endpoint belongs to another project."""


class Unreachable(DeployError):
    """Where requests are sent to nothing answers, whatever the request."""


class EndpointFailed(DeployError):
    """The endpoint did not come into service."""


class EndpointIncomplete(DeployError):
    """The endpoint is in service, without something that it needs besides."""


class PackageMissing(HotfireError):
    """A package that is needed is not installed in this Python."""


class InputError(HotfireError):
    """A value that does not fit a model's inputs. `path` is where, like `text` or `[1].text`."""

    def __init__(self, message: str, advice: str = "", *, path: str = "") -> None:
        super().__init__(message, advice)
        self.path = path


class UsageError(HotfireError):
    """The command line asks for what cannot be done."""

    exit_code = 2


class ApiError(HotfireError):
    """What the public API answers in place of a prediction.

    `path` is where in what was sent it is, like `[1].text`; `headers` are those that its status has.
    `request` is the id under which it reached the model, if it did; `detail` is for the region's owner alone:
    what the model said.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        path: str = "",
        headers: Mapping[str, str] | None = None,
        request: str = "",
        detail: str = "",
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.path = status, code, path
        self.headers, self.request, self.detail = headers or {}, request, detail


class InstanceError(HotfireError):
    """What hosts a variant failed."""


class LoadFailed(InstanceError):
    """The handler could not be loaded. `trace` is the whole traceback, as Python prints it.

    `findings`, if there are any, are what `hotfire_worker.findings` has about it.
    """

    def __init__(self, message: str, trace: str = "", findings: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.trace, self.findings = trace, findings


class HostAway(LoadFailed):
    """What an instance is to run on does not answer; when it does, the instance can be started."""


class EngineError(InstanceError):
    """The engine that runs containers cannot be reached, or cannot do what it is asked for."""


class EngineAway(EngineError):
    """The engine does not answer."""


class PortTaken(EngineError):
    """The port of the loopback that the engine had chosen is another program's by now."""


class ContainerGone(EngineError):
    """There is no such container: somebody has removed it."""


class ClusterError(InstanceError):
    """A Ray cluster cannot be reached, or cannot do what it is asked for."""


class ClusterAway(ClusterError):
    """A Ray cluster does not answer now; it may later."""


class WorkerDied(InstanceError):
    """A worker ended with a request in hand."""


class DeadlineExceeded(InstanceError):
    """A request was not answered by its deadline."""


class StreamBroken(InstanceError):
    """A streamed answer broke off: the handler failed, or its worker ended."""


class QueueFull(InstanceError):
    """As many requests wait for this instance as may."""


class ServiceError(HotfireError):
    """What an AWS client is answered. `members` are the error shape's further members."""

    code: ClassVar[str] = "InternalFailure"
    status: ClassVar[int] = 500

    def __init__(self, message: str, **members: Any) -> None:
        super().__init__(message)
        self.members = members


class ValidationException(ServiceError):
    """A parameter that the service model refuses, or an unknown resource (`Could not find …`)."""

    code, status = "ValidationException", 400


class SerializationException(ServiceError):
    """A body that is not what the protocol says."""

    code, status = "SerializationException", 400


class UnknownOperation(ServiceError):
    """An operation that the service model or this region does not have."""

    code, status = "UnknownOperationException", 400


class UnrecognizedClient(ServiceError):
    """The request does not carry the region's access key."""

    code, status = "UnrecognizedClientException", 403


class InvalidSignature(ServiceError):
    """The request, or its body, is not what was signed, or was not signed by the region's key."""

    code, status = "InvalidSignatureException", 403


class AccessDenied(ServiceError):
    """A request of a web page elsewhere, or for another host."""

    code, status = "AccessDeniedException", 403


class ResourceInUse(ServiceError):
    """Another resource still needs this one."""

    code, status = "ResourceInUse", 400


class ResourceNotFound(ServiceError):
    """A resource that is not there, where the API says so by this code."""

    code, status = "ResourceNotFound", 400


class ResourceLimitExceeded(ServiceError):
    """More of something than an account may have."""

    code, status = "ResourceLimitExceeded", 400


class LogGroupNotFound(ServiceError):
    """A log group, or a stream of one, that is not there."""

    code, status = "ResourceNotFoundException", 400


class InvalidParameter(ServiceError):
    """CloudWatch Logs' own spelling of `ValidationException`."""

    code, status = "InvalidParameterException", 400


class ValidationError(ServiceError):
    """The runtime's own spelling of `ValidationException`."""

    code, status = "ValidationError", 400


class ModelError(ServiceError):
    """The model answered with something other than 2xx."""

    code, status = "ModelError", 424


class ModelStreamError(ServiceError):
    """A streamed answer did not come to its end. `ErrorCode` says why."""

    code, status = "ModelStreamError", 424


class InternalStreamFailure(ServiceError):
    """A fault of this region while an answer was streamed."""

    code, status = "InternalStreamFailure", 500


class ModelNotReady(ServiceError):
    """The model is still being loaded."""

    code, status = "ModelNotReadyException", 429


class Throttling(ServiceError):
    """More requests wait than the endpoint takes."""

    code, status = "ThrottlingException", 429


class InternalFailure(ServiceError):
    """A fault of this region."""

    code, status = "InternalFailure", 500


class ServiceUnavailable(ServiceError):
    """The endpoint cannot answer now."""

    code, status = "ServiceUnavailable", 503
