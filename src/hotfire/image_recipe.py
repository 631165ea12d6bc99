"""An image of one's own as a Dockerfile and the files beside it; pure.

The same lock and the same Hotfire give the same files, and these the same image: no byte code with times in
it, no caches, no logs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from hotfire import __version__
from hotfire.container_engine import IMAGE_LABEL
from hotfire.image_lock import Lock
from hotfire.own_wheel import NAME, OwnWheel

CONTENT_LABEL = "hotfire.content"
"""The hash of what went in."""

IMAGE_VARIABLE = "HOTFIRE_IMAGE"
"""Set in every container of such an image."""
STREAM_VARIABLE = "HOTFIRE_STREAM"
"""Set in a container's environment, it lets answers come in chunks where the handler returns an iterator."""

USER = 10001
WHEELS, CERTIFICATE = "wheels", "certificate.crt"
"""Where packages and certificates of the user's own are in the folder that is built from."""

_TAG_DIGITS = 16

_SERVE = """\
#!/bin/sh
# `docker run IMAGE serve`, by SageMaker's contract: port 8080, the model data at /opt/ml/model.
exec /opt/hotfire/bin/python -m hotfire serve /opt/ml/model \\
    --host 0.0.0.0 --port "${SAGEMAKER_BIND_TO_PORT:-8080}" ${HOTFIRE_STREAM:+--stream}
"""

_DOCKERFILE = """\
# Written by `hotfire image`, which builds from it: what is asked for stands in config.yml, `own_image`,
# and in requirements.txt; which versions that came to, in the lock.

# The libraries, by version and hash.
FROM {base} AS libraries
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_NO_INDEX
ENV PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 \\
    PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
{own_files}COPY requirements.txt build.txt /build/
RUN python3 -m venv /build/pip \\
 && python3 -m venv --without-pip /opt/hotfire \\
 && PIP_CONSTRAINT=/build/build.txt /build/pip/bin/python -m pip --python /opt/hotfire/bin/python install \\
    --require-hashes --no-deps --no-compile -r /build/requirements.txt \\
 && cd {site}/torch \\
 && rm -rf include share test bin/test_* bin/*Test bin/protoc* \\
 && {{ {compile} -x /tests/ /opt/hotfire/lib || true; }}

# Hotfire, in layers of its own: another one leaves those of the libraries as they are.
FROM libraries AS hotfire
COPY {wheel} /build/
RUN /build/pip/bin/python -m pip --python /opt/hotfire/bin/python install \\
    --no-index --no-deps --no-compile /build/{wheel} \\
 && {compile} \\
    {site}/hotfire \\
    {site}/hotfire_worker

# What is run: neither pip nor what brings it, and nobody who is root. The images of Python's own have no byte
# code of its library, and where nothing can be written none would be kept.
FROM {base}
RUN find / -xdev \\( -path '*-packages/pip' -o -path '*-packages/pip-*' -o -path '*-packages/setuptools' \\
    -o -path '*-packages/setuptools-*' -o -path '*-packages/wheel' -o -path '*-packages/wheel-*' \\
    -o -path '*/ensurepip' -o -path '*/python-wheels' -o -path '*/bin/pip*' -o -path '*/bin/wheel' \\) \\
    -prune -exec rm -rf {{}} + \\
 && export PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 \\
 && {{ {compile_base} \\
    -x '/(test|tests|idlelib|lib2to3|site-packages|tkinter|turtledemo)/' \\
    $(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))') || true; }} \\
 && mkdir -p /opt/ml/model \\
 && echo 'hotfire:x:{user}:{user}::/tmp:/bin/false' >>/etc/passwd \\
 && echo 'hotfire:x:{user}:' >>/etc/group
COPY --from=libraries /opt/hotfire /opt/hotfire
COPY serve /opt/hotfire/bin/serve
COPY --from=hotfire {site}/{info} \\
    {site}/{info}
COPY --from=hotfire {site}/hotfire_worker \\
    {site}/hotfire_worker
COPY --from=hotfire {site}/hotfire \\
    {site}/hotfire
ENV PATH=/opt/hotfire/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \\
    {variable}={version}
LABEL {image_label}="{version}" {content_label}="{content}" \\
      com.amazonaws.sagemaker.capabilities.accept-bind-to-port="true"
USER {user}
WORKDIR /opt/ml/model
EXPOSE 8080
CMD ["serve"]
"""

_COMPILE = "-P -m compileall -q --invalidation-mode unchecked-hash"
"""Without the times of the sources, which are those of the build. Some sources are of no Python's syntax."""

_CERTIFICATE = f"COPY {CERTIFICATE} /build/\nENV PIP_CERT=/build/{CERTIFICATE}\n"
_WHEELS = f"COPY {WHEELS} /build/{WHEELS}/\nENV PIP_FIND_LINKS=/build/{WHEELS}\n"


@dataclass(frozen=True, slots=True)
class Recipe:
    """The files that an image is built from, by name, but for those of the user's own; and their hash."""

    lock: Lock
    files: Mapping[str, bytes]
    content: str

    @property
    def tag(self) -> str:
        """What names the image among those of its repository."""
        return self.content[:_TAG_DIGITS]

    @property
    def dockerfile(self) -> str:
        """Its Dockerfile."""
        return self.files["Dockerfile"].decode()


def recipe(lock: Lock, wheel: OwnWheel, *, wheels: bool = False, certificate: bool = False) -> Recipe:
    """Of a lock; `wheels` and `certificate` are whether there are such files of the user's own."""
    files = {
        "Dockerfile": b"",
        "build.txt": f"setuptools=={lock.version('setuptools')}\n".encode(),
        "requirements.txt": lock.requirements().encode(),
        "serve": _SERVE.encode(),
        NAME: wheel.content,
    }
    own_files = (_CERTIFICATE if certificate else "") + (_WHEELS if wheels else "")
    # Where packages came from is no part of what they are: their hashes are in the lock.
    content = _content(
        {**files, "Dockerfile": _dockerfile(lock, "", "").encode(), "base": lock.identity.encode()}
    )
    return Recipe(lock, {**files, "Dockerfile": _dockerfile(lock, own_files, content).encode()}, content)


def _dockerfile(lock: Lock, own_files: str, content: str) -> str:
    return _DOCKERFILE.format(
        base=lock.source,
        own_files=own_files,
        site=f"/opt/hotfire/lib/python{lock.python_line}/site-packages",
        info=f"hotfire-{__version__}.dist-info",
        wheel=NAME,
        compile=f"/opt/hotfire/bin/python {_COMPILE} -f",
        compile_base=f"python3 {_COMPILE}",
        user=USER,
        version=__version__,
        image_label=IMAGE_LABEL,
        variable=IMAGE_VARIABLE,
        content_label=CONTENT_LABEL,
        content=content,
    )


def _content(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name} {hashlib.sha256(files[name]).hexdigest()}\n".encode())
    return digest.hexdigest()
