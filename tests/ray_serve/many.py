"""One replica that is one model after another, so that torch is imported once for all of them.

Each is a `Model`, the adapter's own replica, which gets every request as Ray Serve brings it. A POST to
`/become` makes the next one, in a process that looks as if there had been none before.
"""

import os
import sys
from pathlib import Path

from hotfire_worker.ray_app import Model  # isort: skip
from ray import serve
from starlette.requests import Request
from starlette.responses import Response


@serve.deployment
class Many:
    def __init__(self) -> None:
        import torch  # noqa: F401, I001  # it, and what it brings, stays
        from hotfire_worker.service import Service  # noqa: F401

        own = {name: value for name, value in os.environ.items() if not name.startswith("SAGEMAKER_")}
        self._first = Path.cwd(), own, list(sys.path)
        self._modules = set(sys.modules)
        self._model: Model | None = None

    async def __call__(self, request: Request) -> Response:
        if request.url.path.endswith("/become"):
            told = await request.json()
            self._forget()
            self._model = Model(told["model_dir"], told["environment"])
            return Response()
        assert self._model is not None
        return await self._model(request)

    def _forget(self) -> None:
        """Leave the last model's premises; its modules go, those of installed packages stay."""
        folder, variables, path = self._first
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(variables)
        for name in set(sys.modules) - self._modules:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if "site-packages" not in file and not file.startswith(sys.base_prefix):
                del sys.modules[name]
        sys.path[:] = path


app = Many.bind()
