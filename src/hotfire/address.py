"""Where this user's region is, and the proof that what answers there is it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hotfire import __version__
from hotfire.errors import RegionError, RegionMismatch, RegionNotRunning

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse

REGION_NAME = "us-east-1"
"""The AWS region that clients are told; the local region answers to any."""

KEY_PREFIX = "HOTFIRE"
"""How every access key id of ours begins, so that none is mistaken for one of AWS."""

HELLO_PATH = "/_hotfire/hello"

_HELLO_SECONDS = 2.0
_OPENING_SECONDS = 30.0
_REGION_FILE = "region.json"
_KEY_FILE = "key.json"
_SDK_FILE = "sagemaker-sdk.yaml"

# Both SageMaker SDKs ask STS for the account, past the endpoint URL, unless the bucket is named for them.
SDK_CONFIG: Mapping[str, Any] = {
    "SchemaVersion": "1.0",
    "SageMaker": {
        "PythonSDK": {
            "Modules": {
                "TelemetryOptOut": True,
                "Session": {"DefaultS3Bucket": f"sagemaker-{REGION_NAME}-000000000000"},
            }
        }
    },
}
"""The SageMaker SDKs' own configuration, under which nothing of theirs leaves the machine."""


@dataclass(frozen=True, slots=True)
class Key:
    """The region's credentials, which every client carries."""

    access_key: str
    secret_key: str

    @property
    def bearer(self) -> str:
        """What the private API is asked with. The access key itself is in every request that is signed."""
        # Proofs by the secret itself are given to anybody who asks.
        return f"Bearer {prove(f'private {self.secret_key}', 'bearer')}"


@dataclass(frozen=True, slots=True)
class Exposure:
    """Whom a region answers besides programs of this machine that carry its key.

    `host` is the address that it listens on beside the loopback, or the loopback's own; `allowed` are further
    names by which it may be asked; `origins` are those of web pages that may ask its public API.
    """

    host: str = "127.0.0.1"
    allowed: tuple[str, ...] = ()
    any_key: bool = False
    origins: tuple[str, ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether only this machine's programs can reach it."""
        from ipaddress import ip_address

        return ip_address(self.host).is_loopback


@dataclass(frozen=True, slots=True)
class RegionFile:
    """`region.json`: what a region writes about itself while it runs.

    `host`, `allowed`, `any_key` and `origins` are those of its Exposure.
    """

    url: str
    host: str
    port: int
    pid: int
    start_time: float
    version: str
    access_key: str
    allowed: tuple[str, ...] = ()
    any_key: bool = False
    origins: tuple[str, ...] = ()

    @property
    def exposure(self) -> Exposure:
        """Whom it answers."""
        return Exposure(self.host, tuple(self.allowed), self.any_key, tuple(self.origins))

    @classmethod
    def read(cls, home: Path) -> RegionFile | None:
        """What the last region wrote, or None if it took its file away."""
        values = _read_json(home / _REGION_FILE)
        # A region of an older version said less.
        needed = {field.name for field in fields(cls) if field.default is MISSING}
        if values is None or not needed <= values.keys():
            return None
        told = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        lists = {name: tuple(told.get(name, ())) for name in ("allowed", "origins")}
        return cls(**{**told, **lists})

    def write(self, home: Path) -> None:
        """Put the file there, whole at once and for this user alone."""
        _write_private(home / _REGION_FILE, json.dumps(asdict(self), indent=2) + "\n")

    def remove(self, home: Path) -> None:
        """Take the file away, unless a later region has written its own."""
        if RegionFile.read(home) == self:
            (home / _REGION_FILE).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Address:
    """A region that answered and proved that it knows the key."""

    url: str
    pid: int
    version: str
    key: Key
    home: Path

    def call(self, method: str, path: str, body: Any = None, *, timeout: float = 30.0) -> Any:
        """Ask the region's private API; `body` and the answer are JSON values.

        Raises RegionNotRunning if nothing listens there any more, RegionError with the region's own
        message and advice, or if it does not answer within `timeout` seconds.
        """
        headers = {"Authorization": self.key.bearer, "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        try:
            status, data = _request(self.url, method, path, content, headers, timeout)
        except ConnectionRefusedError as error:
            raise not_running() from error
        except TimeoutError as error:
            message = f"the region at {self.url} did not answer {method} {path} within {timeout:g} s"
            raise RegionError(message, "`hotfire down && hotfire up` starts it anew.") from error
        except OSError as error:
            message = f"the region at {self.url} broke off the answer to {method} {path}: {error}"
            raise RegionError(message, "`hotfire up` starts it again if it is down.") from error
        return _answer(status, data, f"{method} {path}")

    def open(self, method: str, path: str, body: Any) -> tuple[HTTPConnection, HTTPResponse]:
        """Ask for an answer that comes little by little, for as long as its connection is open.

        Raises as `call` does.
        """
        headers = {"Authorization": self.key.bearer, "Content-Type": "application/json"}
        connection = _connection(self.url, _OPENING_SECONDS)
        try:
            connection.request(method, path, json.dumps(body).encode(), headers)
            response = connection.getresponse()
        except OSError as error:
            connection.close()
            raise not_running() from error
        if response.status >= 400:
            with closing(connection):
                _answer(response.status, response.read(), f"{method} {path}")
        connection.sock.settimeout(None)
        return connection, response

    def exports(self) -> dict[str, str]:
        """The variables that point any AWS client at this region; writes the SDKs' file that one names.

        An empty session token hides the user's own, which must not be sent along with our key.
        """
        sdk_file = self.home / _SDK_FILE
        _write_private(sdk_file, json.dumps(SDK_CONFIG, indent=2) + "\n")  # JSON is YAML too
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.key.access_key,
            "AWS_SECRET_ACCESS_KEY": self.key.secret_key,
            "AWS_SESSION_TOKEN": "",
            "AWS_DEFAULT_REGION": REGION_NAME,
            "AWS_REGION": REGION_NAME,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAGEMAKER_USER_CONFIG_OVERRIDE": str(sdk_file),
        }


def load_or_create_key(home: Path) -> Key:
    """The region's key, made on first use and kept; of two processes that make one, the first wins."""
    from base64 import b32encode
    from secrets import token_bytes, token_urlsafe

    existing = _read_key(home)
    if existing:
        return existing
    key = Key(KEY_PREFIX + b32encode(token_bytes(10)).decode()[:13], token_urlsafe(30))
    with suppress(FileExistsError):
        _write_private(home / _KEY_FILE, json.dumps(asdict(key), indent=2) + "\n", replace=False)
    created = _read_key(home)
    if created is None:
        message = f"{home / _KEY_FILE} is not a key file"
        raise RegionError(message, "Delete it and start the region again: `hotfire down && hotfire up`.")
    return created


def prove(secret: str, nonce: str) -> str:
    """The proof that one knows `secret`, good for this `nonce` only: HMAC-SHA256 in hex."""
    import hmac

    return hmac.new(secret.encode(), nonce.encode(), "sha256").hexdigest()


def find(home: Path, *, any_version: bool = False) -> Address | None:
    """This user's region, if it runs: None if nothing answers, or if what answers does not know the key.

    Raises RegionMismatch if the region is of another version, unless `any_version`.
    """
    file, key = RegionFile.read(home), _read_key(home)
    if file is None or key is None:
        return None
    hello = _hello(file.url, key)
    if hello is None:
        return None
    version = str(hello.get("version"))
    if version != __version__ and not any_version:
        message = f"the region at {file.url} is of Hotfire {version}, this is {__version__}"
        raise RegionMismatch(message, "Start it anew: `hotfire down && hotfire up`.")
    return Address(file.url, int(hello.get("pid", file.pid)), version, key, home)


def not_running() -> RegionNotRunning:
    """The error of everything that needs a region, where there is none."""
    return RegionNotRunning("the local region is not running", "Start it: `hotfire up`.")


def _hello(url: str, key: Key) -> dict[str, Any] | None:
    """The region's answer to a fresh nonce, if its proof is right."""
    import hmac
    from secrets import token_hex

    nonce = token_hex(16)
    try:
        status, data = _request(url, "GET", f"{HELLO_PATH}?nonce={nonce}", None, {}, _HELLO_SECONDS)
        answer = json.loads(data)
    except (OSError, ValueError):
        return None
    if status != 200 or not isinstance(answer, dict):
        return None
    proof = str(answer.get("proof")).encode()
    return answer if hmac.compare_digest(proof, prove(key.secret_key, nonce).encode()) else None


def _request(
    url: str, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout: float
) -> tuple[int, bytes]:
    """One HTTP request on a connection of its own, never by a proxy; OSError if there is no whole answer."""
    from http.client import HTTPException

    connection = _connection(url, timeout)
    try:
        connection.request(method, path, body=body, headers=dict(headers))
        response = connection.getresponse()
        return response.status, response.read()
    except HTTPException as error:
        raise ConnectionError(repr(error)) from error
    finally:
        connection.close()


def _connection(url: str, timeout: float) -> HTTPConnection:
    from http.client import HTTPConnection
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    return HTTPConnection(parts.hostname or "127.0.0.1", parts.port or 80, timeout=timeout)


def _answer(status: int, data: bytes, request: str) -> Any:
    """The value that was answered, or its error raised."""
    try:
        value = json.loads(data) if data else None
    except ValueError as error:
        message = f"the region's answer to {request}, of status {status}, is not JSON"
        raise RegionError(message, "`hotfire down && hotfire up` starts it anew.") from error
    if status < 400:
        return value
    reason = value.get("error") if isinstance(value, dict) else None
    if not isinstance(reason, dict) or "message" not in reason:
        message = f"the region answered {request} with status {status} and no reason"
        raise RegionError(message, "`hotfire down && hotfire up` starts it anew.")
    raise RegionError(str(reason["message"]), str(reason.get("advice", "")))


def _read_key(home: Path) -> Key | None:
    values = _read_json(home / _KEY_FILE)
    if values is None:
        return None
    access_key, secret_key = values.get("access_key"), values.get("secret_key")
    return (
        Key(access_key, secret_key) if isinstance(access_key, str) and isinstance(secret_key, str) else None
    )


def _read_json(file: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(file.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        raise RegionError(
            f"{file} cannot be read: {error.strerror}", "It must be yours: see `ls -l`."
        ) from error
    return value if isinstance(value, dict) else None


def _write_private(file: Path, text: str, *, replace: bool = True) -> None:
    """Write a file for this user alone, whole at once; FileExistsError if it may not be replaced."""
    from tempfile import mkstemp

    # mkstemp's files are 0600 from the start.
    descriptor, name = mkstemp(dir=file.parent, prefix=f".{file.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        if replace:
            temporary.replace(file)
        else:
            os.link(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
