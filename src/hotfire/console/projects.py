"""Where on this machine the project of an endpoint keeps its examples."""

from __future__ import annotations

from pathlib import Path

from hotfire.environment import CONFIG_NAMES, load
from hotfire.errors import HotfireError
from hotfire.region.store import Store
from hotfire.wanted import PROJECT_TAG


def examples_folder(store: Store, endpoint: str) -> Path | None:
    """The folder, which need not be there yet; None if the endpoint is no project's, or its project is gone.

    The endpoint's tag names the project, its model the deployment environment.
    """
    record = store.endpoint(endpoint)
    if record is None:
        return None
    project = store.tags(record.arn).get(PROJECT_TAG, "")
    if not project.startswith("/"):
        return None
    root = Path(project)
    for file in (root / name for name in CONFIG_NAMES):
        if file.is_file():
            try:
                environment = load(_environment(store, record.config_name), config=file)
            except HotfireError:
                return None
            return environment.examples if environment.root == root.resolve() else None
    return None


def _environment(store: Store, config: str) -> str:
    found = store.config(config)
    models = (store.model(variant["ModelName"]) for variant in found.variants) if found else ()
    for model in models:
        container = model.request.get("PrimaryContainer", {}) if model else {}
        name = container.get("Environment", {}).get("DEPLOY_ENV")
        if name:
            return str(name)
    return "local"
