"""What puts a model on a Ray cluster, run there as a job by the cluster's own Python, and what a replica is.

It is fetched from the region and run as a program; its class `Replica` then goes to the replicas by value, so
that nothing of ours need be installed anywhere. All that a replica serves it fetches from the region too.
"""

import fcntl
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Dict, Iterator, List, Optional

SIGN = (b"x-hotfire-replica", b"1")
"""A header of each answer that a replica gave; one without it comes from Ray itself."""
FAILED = "the handler could not be loaded"
"""What stands before the traceback, in Ray's message about a replica that could not start."""

_NOT_THE_HANDLERS = ("<string>", "/hotfire_worker/", "/concurrent/futures/")
_PAUSES = (0.2, 1.0, 3.0)
_BLOCK = 1024 * 1024


class Replica:
    """Answers for the model whose order lies at this address."""

    def __init__(self, url: str) -> None:
        order = json.loads(fetched(url + "/order"))
        self._held, folder = had(url, order)
        sys.path.insert(0, os.path.join(folder, "program"))
        try:
            from hotfire_worker.ray_app import Model

            self._model = Model(os.path.join(folder, "model"), order["environment"])
        except Exception as error:  # noqa: BLE001  # the handler's, or whatever it needs
            raise RuntimeError(FAILED + "\n" + told(error)) from None

    async def __call__(self, request: Any) -> Any:
        """One request's answer."""
        answer = await self._model(request)
        answer.raw_headers.append(SIGN)
        return answer

    async def check_health(self) -> None:
        """Raise where Ray is to replace this replica."""
        await self._model.check_health()


def told(error: BaseException) -> str:
    """An error's traceback, from the toolkit or the handler on."""
    at = error.__traceback__
    while at is not None and any(part in at.tb_frame.f_code.co_filename for part in _NOT_THE_HANDLERS):
        at = at.tb_next
    return "".join(traceback.format_exception(type(error), error, at))


def fetched(url: str, into: Optional[str] = None) -> bytes:
    """What lies at an address of the region's; if it is to go into a file, that is all."""
    for pause in (*_PAUSES, None):
        try:
            with straight().open(url, timeout=30) as answer:
                if into is None:
                    return bytes(answer.read())
                with open(into, "wb") as file:
                    shutil.copyfileobj(answer, file, _BLOCK)
                if file_size(into) != int(answer.headers["Content-Length"]):
                    raise ConnectionError("the transfer broke off")
                return b""
        except urllib.error.HTTPError as error:
            raise RuntimeError("the region does not have %s any more (%s)" % (url, error.code)) from None
        except OSError as error:
            if pause is None:
                place = urllib.parse.urlsplit(url).netloc
                node = os.uname().nodename
                raise RuntimeError(
                    "the node %s does not reach the region at %s: %s" % (node, place, error)
                ) from None
            time.sleep(pause)
    raise AssertionError("the last try returns or raises")


def straight() -> urllib.request.OpenerDirector:
    """Goes to the region itself, whatever proxy the cluster has for the world."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def file_size(path: str) -> int:
    """In bytes."""
    return os.stat(path).st_size


def had(url: str, order: Dict[str, Any]) -> "tuple[Any, str]":
    """The folder of a model on this node, and what holds it there as long as this process lives.

    Replicas of one node share it. What no process holds any longer goes when the next replica starts.
    """
    home = os.path.join(tempfile.gettempdir(), "hotfire-ray-%d" % os.getuid())
    os.makedirs(home, mode=0o700, exist_ok=True)
    if os.stat(home).st_uid != os.getuid():
        raise PermissionError("%s belongs to somebody else" % home)
    folder = os.path.join(home, order["key"])
    held = locked(folder + ".lock", fcntl.LOCK_SH)
    with locked(folder + ".making", fcntl.LOCK_EX):
        if not os.path.isdir(folder):
            shutil.rmtree(folder + ".part", ignore_errors=True)
            for place, is_program in order["files"]:
                path = os.path.join(folder + ".part", place)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                fetched(url + "/" + urllib.parse.quote(place), path)
                os.chmod(path, 0o555 if is_program else 0o444)
            os.replace(folder + ".part", folder)
    sweep(home, order["key"])
    return held, folder


def locked(path: str, how: int) -> Any:
    """A file that is there, open and locked in this way."""
    while True:
        file = open(path, "a")  # noqa: SIM115  # whoever asked closes it, or its process ends
        fcntl.flock(file, how)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # somebody swept it away in between


def sweep(home: str, key: str) -> None:
    """Remove the other models that no process of this node holds."""
    for name in os.listdir(home):
        other, kind = os.path.splitext(name)
        if kind != ".lock" or other == key:
            continue
        with open(os.path.join(home, name), "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            for left in ("", ".part"):
                shutil.rmtree(os.path.join(home, other + left), ignore_errors=True)
            for left in (".making", ".lock"):
                if os.path.exists(os.path.join(home, other + left)):
                    os.unlink(os.path.join(home, other + left))


def connect(session: str) -> None:
    """Join the cluster that the region means."""
    import ray

    # On a machine with several clusters, Ray itself may have a job join another than the one that runs it.
    default = os.environ.pop("RAY_ADDRESS", "auto")
    found = ray.init(address=own_address() or default, namespace="serve", log_to_driver=False)
    if os.path.basename(found.address_info["session_dir"]) != session:
        raise SystemExit("hotfire: this job joined another cluster than the one that runs it")


def own_address() -> str:
    """The address of the cluster whose job this is, as the node that began it was told; empty if unknown."""
    sign = b"--gcs-address="
    try:
        raylet = next(filter(None, map(raylet_of, ancestors())), b"")
        with open(os.path.join(b"/proc", raylet, b"cmdline"), "rb") as file:
            given = [word[len(sign) :] for word in file.read().split(b"\0") if word.startswith(sign)]
    except OSError:
        return ""
    return given[0].decode() if given else ""


def ancestors() -> Iterator[bytes]:
    """The ids of the processes above this one, the nearest first."""
    process = b"%d" % os.getppid()
    while int(process) > 1:
        yield process
        with open(os.path.join(b"/proc", process, b"stat"), "rb") as file:
            process = file.read().rpartition(b")")[2].split()[1]


def raylet_of(process: bytes) -> bytes:
    """The id of the node's own process that began this one; empty if none did."""
    with open(os.path.join(b"/proc", process, b"environ"), "rb") as file:
        given = dict(part.partition(b"=")[::2] for part in file.read().split(b"\0"))
    return given.get(b"RAY_RAYLET_PID", b"")


def deploy(url: str) -> None:
    """Have the application run that is ordered at this address."""
    order = json.loads(fetched(url + "/order"))
    connect(order["session"])
    from ray import serve

    if order["starts_serve"] is not None:
        serve.start(**order["starts_serve"])
    bound = serve.deployment(Replica).options(**order["options"]).bind(url)
    serve.run_many(
        [serve.RunTarget(bound, order["name"], "/" + order["name"], {"enable_access_log": False})],
        wait_for_ingress_deployment_creation=False,
        wait_for_applications_running=False,
    )


def delete(session: str, names: List[str]) -> None:
    """Have these applications end, and return when they have."""
    connect(session)
    from ray import serve

    for name in names:
        serve.delete(name, _blocking=False)
    while set(names) & set(serve.status().applications):
        time.sleep(0.1)


if __name__ == "__main__":
    if sys.argv[1] == "deploy":
        deploy(sys.argv[2])
    else:
        delete(sys.argv[2], sys.argv[3:])
