"""An image of one's own, from what is asked for to what the engine holds: lock, write, build."""

from __future__ import annotations

import io
import re
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from hotfire import container_builds, container_images, image_failures, image_lock
from hotfire.container_builds import Build, BuildFailed, Image, Program, ProgramFailed, Telling
from hotfire.container_engine import Engine
from hotfire.environment import Environment, home
from hotfire.errors import EngineError, ProjectError
from hotfire.hashes import HashCache
from hotfire.image_lock import Lock
from hotfire.image_order import FOLDER, TOOLKIT, Order, order
from hotfire.image_recipe import CERTIFICATE, CONTENT_LABEL, WHEELS, Recipe, recipe
from hotfire.own_wheel import own_wheel
from hotfire.preflight.installed import Installed

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_REPORT = "/tmp/report.json"  # of the container
_RESOLVE = f"""\
set -e
python3 -m venv /tmp/resolve
exec /tmp/resolve/bin/python -m pip install --dry-run --ignore-installed --no-input \\
    --disable-pip-version-check --progress-bar off --report {_REPORT} -r /requirements.txt
"""


@dataclass(frozen=True, slots=True)
class Built:
    """What came of a build. `is_new` is whether the engine had to do anything."""

    name: str
    image: Image
    is_new: bool
    seconds: float


class OwnImage:
    """The image of one project and environment; `requirements` is what becomes code/requirements.txt."""

    def __init__(self, environment: Environment, requirements: Path | None) -> None:
        self._environment = environment
        self._settings = environment.own_image
        self._order = order(environment, requirements)
        self._wheel = own_wheel()
        self._hashes = HashCache(home() / "hashes.json")

    @property
    def order(self) -> Order:
        """What is asked for."""
        return self._order

    @property
    def folder(self) -> Path:
        """Where its Dockerfile is written."""
        return self._environment.root / FOLDER

    def lock(self) -> Lock | None:
        """What is locked for what is asked for now; None if nothing is. Raises ProjectError."""
        found = image_lock.read(self._order.file)
        return found if found is not None and self._order.is_met_by(found) else None

    def recipe(self, lock: Lock) -> Recipe:
        """The files that it is built from."""
        certificate = self._settings.certificate is not None
        return recipe(lock, self._wheel, wheels=bool(self._own_wheels(lock)), certificate=certificate)

    def locked(self, engine: Engine, tell: Telling, *, anew: bool = False) -> Lock:
        """The lock, made if there is none for what is asked for, and written beside the project.

        Raises ProjectError for requirements that cannot be met, EngineError for a base that cannot be had.
        """
        found = None if anew else self.lock()
        if found is not None and (self._is_there(engine, found) or "@" in found.identity):
            return found
        if found is not None and container_builds.find(engine, found.base) is not None:
            tell.step(f"{found.base} is another image than the one that was locked")
        image_lock.check_writable(self._order.file)
        made = self._resolve(engine, self._base(engine, tell, anew=anew), tell)
        image_lock.write(self._order.file, made)
        tell.step(f"lock {len(made.pins)} packages in {self._order.file}")
        return made

    def write(self, made: Recipe) -> Path:
        """Leave the Dockerfile, and what is beside it, where one can look at them and build by oneself."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, content in made.files.items():
            path = self.folder / name
            path.write_bytes(content)
            path.chmod(0o755 if name == "serve" else 0o644)
        return self.folder / "Dockerfile"

    def build(
        self, engine: Engine, made: Recipe, repository: str, tell: Telling, *, cached: bool = True
    ) -> Built:
        """Have it in the engine, as `repository:<tag by content>`; only built if it is not there."""
        begun = time.monotonic()
        name = f"{repository}:{made.tag}"
        is_new = not cached or not is_built(engine, name, made)
        if is_new:
            self._leave(made, tell)
            self._check_certificate()
            with self._context(made) as context:
                arguments = self._order.indexes
                network, platform = self._settings.network, self._foreign(engine)
                work = Build(context, name, arguments, network, platform, cached)
                try:
                    container_builds.build(engine, work, tell)
                except BuildFailed as error:
                    raise image_failures.unbuilt(name, self._order.file, network, error) from error
        found = container_builds.find(engine, name)
        assert found is not None  # the engine has just said so
        return Built(name, found, is_new, time.monotonic() - begun)

    def _leave(self, made: Recipe, tell: Telling) -> None:
        """Write what it is built from, if that can be: nothing is built of what is on the disk."""
        try:
            self.write(made)
        except OSError as error:
            tell.step(f"build without leaving a Dockerfile: {self.folder}: {error.strerror}")

    def _is_there(self, engine: Engine, lock: Lock) -> bool:
        """Whether the engine's base is the one that was locked."""
        base = container_builds.find(engine, lock.source)
        return base is not None and lock.identity in (base.digest, base.id)

    def _base(self, engine: Engine, tell: Telling, *, anew: bool) -> str:
        """Have the base here, for the right processor; the newest that a registry has, if it is in one."""
        base, platform = self._order.base, self._foreign(engine)
        found = container_builds.find(engine, base)
        is_fitting = found is not None and found.architecture == self._order.platform.partition("/")[2]
        is_renewed = anew and found is not None and bool(found.digest)
        container_images.obtain(engine, base, tell.step, platform=platform, anew=is_renewed or not is_fitting)
        return base

    def _resolve(self, engine: Engine, base: str, tell: Telling) -> Lock:
        """Have the base's own Python and pip choose the versions."""
        self._check_certificate()
        installed = Installed(self._environment.python)
        wanted = self._order.wanted(_plain(installed.version("torch")), installed.version(TOOLKIT))
        tell.step(f"resolve the requirements on {base}")
        try:
            report = container_builds.run(engine, self._program(base, wanted, engine), _REPORT, tell)
        except ProgramFailed as error:
            raise image_failures.unresolved(base, self._settings.network, error.lines) from error
        except EngineError as error:
            raise image_failures.unstarted(base, error) from error
        text = report.decode()
        found = container_builds.find(engine, base)
        assert found is not None
        lock = Lock(
            base=base,
            identity=found.digest or found.id,
            python=image_lock.python_of(text),
            platform=self._order.platform,
            asked=self._order.sha256,
            pins=image_lock.pins_of(text),
            options=self._order.options,
        )
        self._check(lock)
        return lock

    def _program(self, base: str, wanted: str, engine: Engine) -> Program:
        variables = dict(self._order.indexes)
        files = {"/requirements.txt": wanted.encode()}
        folders = {}
        if self._settings.certificate is not None:
            files[f"/{CERTIFICATE}"] = self._settings.certificate.read_bytes()
            variables["PIP_CERT"] = f"/{CERTIFICATE}"
        if self._settings.wheels is not None:
            folders[f"/{WHEELS}"] = self._settings.wheels
            variables["PIP_FIND_LINKS"] = f"/{WHEELS}"
        command = ("sh", "-c", _RESOLVE)
        network = self._settings.network
        return Program(base, command, files, variables, folders, network, self._foreign(engine))

    def _check(self, lock: Lock) -> None:
        """Raise for what no image is to be built of."""
        if tuple(map(int, lock.python.split(".")[:3])) < _OLDEST:
            message = f"the base image {lock.base} has Python {lock.python}; Hotfire needs 3.11.4"
            raise EngineError(message, "Name a newer one by `own_image.base`.")
        if lock.for_gpus and not self._settings.cuda:
            names = ", ".join(f"{one.name} {one.version}" for one in lock.for_gpus[:3])
            more = f" and {len(lock.for_gpus) - 3} more" if len(lock.for_gpus) > 3 else ""
            message = f"the requirements bring what only a GPU needs: {names}{more}"
            advice = "Say `own_image: {cuda: true}` if it is meant; else see where torch comes from."
            raise ProjectError(message, advice)

    def _check_certificate(self) -> None:
        for name, path in (("certificate", self._settings.certificate), ("wheels", self._settings.wheels)):
            if path is not None and not path.exists():
                message = f"there is no {path}"
                raise self._environment.mistake(message, "Mend it.", "own_image", name)

    def _foreign(self, engine: Engine) -> str | None:
        """The platform, where it is not the engine's own."""
        own = _ARCHITECTURES.get(engine.architecture(), engine.architecture())
        return None if self._order.platform == f"linux/{own}" else self._order.platform

    @contextmanager
    def _context(self, made: Recipe) -> Iterator[BinaryIO]:
        """All that it is built from, as a tar."""
        with TemporaryFile() as file:
            with tarfile.open(fileobj=file, mode="w") as tar:
                for name, content in made.files.items():
                    _add(tar, name, content)
                if self._settings.certificate is not None:
                    _add(tar, CERTIFICATE, self._settings.certificate.read_bytes())
                for path in self._own_wheels(made.lock):
                    tar.add(path, f"{WHEELS}/{path.name}", recursive=False)
            file.seek(0)
            yield file

    def _own_wheels(self, lock: Lock) -> list[Path]:
        """Those of the user's own packages that are locked."""
        folder = self._settings.wheels
        if folder is None or not folder.is_dir():
            return []
        locked = {pin.sha256 for pin in lock.pins}
        return [path for path in sorted(folder.iterdir()) if path.is_file() and self._sha256(path) in locked]

    def _sha256(self, path: Path) -> str:
        return self._hashes.digest(path).sha256


def is_built(engine: Engine, name: str, made: Recipe) -> bool:
    """Whether the engine has an image of that name, built from these files."""
    found = container_builds.find(engine, name)
    return found is not None and found.labels.get(CONTENT_LABEL) == made.content


def repository(environment: Environment) -> str:
    """The name of an environment's images, but for registry and tag."""
    plain = re.sub(r"-+", "-", environment.model_name.lower())
    return environment.own_image.repository or f"hotfire/{plain}"


_OLDEST = (3, 11, 4)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o755 if name == "serve" else 0o644
    tar.addfile(info, io.BytesIO(content))


def _plain(version: str | None) -> str | None:
    """A version without what is after its `+`: the image is to have another build of it."""
    return None if version is None else version.partition("+")[0]
