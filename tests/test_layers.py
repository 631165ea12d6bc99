"""Imports point down, and modules of one row do not meet."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROWS = (
    ("__main__",),
    ("cli.root",),
    ("cli.*",),
    ("testing",),
    ("local", "server.tether"),
    ("server.daemon",),
    ("server.app", "server.serve"),
    ("server.versions",),
    ("server.container",),
    ("server.website",),
    ("server.objects", "server.shares"),
    ("server.exchange", "server.guests"),
    (
        "server.gate",
        "server.http",
        "server.log",
        "server.listening",
        "server.workspace",
        "console.app",
        "console.api_pages",
    ),
    ("console.live", "console.public"),
    ("console.charts", "console.dev_page", "console.logs", "console.model_page", "console.recorded"),
    ("console.openapi", "console.predictions", "console.frame", "console.overview"),
    ("console.model_view",),
    ("console.model_answer", "console.model_fields"),
    ("console.model_form", "console.results", "console.snippets", "console.kept"),
    (
        "console.differences",
        "console.explained",
        "console.plots",
        "console.projects",
        "console.requests",
        "console.shown",
    ),
    ("console.endpoint_pages", "console.formats", "console.form_data", "console.times"),
    ("console.visits",),
    ("server.sealed",),
    ("server.signature",),
    ("deploy", "probe", "dev", "parity"),
    ("dev_image", "lease", "watching", "breakpoints"),
    ("snapshot",),
    ("local_region", "aws", "leftovers"),
    ("depot",),
    ("rollout", "project", "invocation", "deferred", "container_port", "image_delivery", "recorded"),
    (
        "endpoint_logs",
        "destination",
        "bucket",
        "roles",
        "packed",
        "holdings",
        "ray_files",
        "image_build",
        "image_registry",
    ),
    ("init.*", "init"),
    ("preflight.*", "preflight"),
    ("bench.*", "bench"),
    ("inventory", "deployment", "failure"),
    ("region.leases", "region.dispatcher", "region.replays"),
    (
        "region.absent",
        "region.private",
        "region.runtime",
        "region.control",
        "region.identity",
        "region.observatory",
    ),
    ("region.bucket_pages", "region.bucket_settings", "region.objects", "region.uploads"),
    ("region.rclone", "region.s3_wire", "region.vault"),
    (
        "region.endpoints",
        "region.logs",
        "region.metrics",
        "region.listing",
        "region.census",
        "region.wire",
    ),
    (
        "region.debugging",
        "region.blueprints",
        "region.queue",
        "region.recording",
        "region.scribe",
        "region.developments",
        "region.sampler",
        "region.apps",
        "region.api_keys",
    ),
    ("region.buckets", "region.content"),
    ("region.object_records", "region.object_listing", "region.checksums", "region.s3_errors"),
    (
        "region.fleet",
        "region.keys",
        "region.requirements",
        "region.feed",
        "region.invocations",
        "region.journal",
        "region.store",
        "region.traffic",
        "region.trees",
        "region.validation",
    ),
    ("region.batches",),
    ("region.records",),
    ("region.eventstream", "region.database", "region.masking", "region.quota"),
    ("region.caller", "region.codec", "region.cursor", "region.patterns", "region.visitor"),
    ("instances.process", "instances.containers", "instances.hosts", "instances.ray_host"),
    ("instances.household", "instances.workshop", "instances.ray"),
    ("instances.container", "instances.ray_site"),
    ("instances.remote",),
    ("instances.ray_cluster", "instances.replies"),
    ("instances.zygotes",),
    ("instances.holders", "instances.workers", "instances.output", "instances.settings"),
    ("instances.jobs", "instances.running"),
    (
        "instances.base",
        "instances.desk",
        "instances.connections",
        "instances.ray_files",
        "instances.ray_state",
        "instances.channel",
        "instances.preloads",
        "instances.fates",
    ),
    ("instances.memory",),
    ("plan",),
    ("autoscaling", "settings_check"),
    ("wanted", "sources", "archive", "uploads", "junit", "deploy_env"),
    ("container_images", "image_failures", "image_order"),
    ("endpoint_session", "sagemaker_sdk", "raw_settings", "ray_settings"),
    ("tracing", "examples", "folders", "environment", "refusals"),
    ("image_settings", "container_builds", "image_recipe", "hosting_settings"),
    ("app_config", "app_inference"),
    ("app_schema",),
    ("app_inputs", "body_template"),
    ("model_data", "comparison", "bodies", "config_file", "hashes", "address", "images", "hints", "hosting"),
    ("container_engine", "image_lock", "own_wheel", "ray_address"),
    ("changes.*", "changes"),
    (
        "resources",
        "errors",
        "arrays",
        "prices",
        "calls",
        "container_engine",
        "distributions",
        "image_name",
        "instance_types",
    ),
    ("",),
)
"""The layers of `hotfire`, top to bottom; a `*` stands for a folder whose modules may import each other."""

CLIENTS = (
    "deploy",
    "leftovers",
    "local_region",
    "aws",
    "depot",
    "bucket",
    "roles",
    "packed",
    "destination",
    "image_build",
    "image_delivery",
    "image_registry",
    "rollout",
    "project",
    "invocation",
    "container_port",
    "parity",
    "deferred",
    "recorded",
    "endpoint_logs",
    "inventory",
    "deployment",
    "plan",
    "wanted",
    "preflight",
    "probe",
    "holdings",
    "deploy_env",
)
"""What talks to a region by its protocols, whether at AWS or here, and so knows nothing of its inside."""

WORKER_MAY_IMPORT = {
    "hotfire_worker",
    "numpy",
    "torch",
    "sagemaker_inference",
    "sagemaker_pytorch_serving_container",
    "packaging",  # only where it is there
    "debugpy",  # only when somebody attaches
    "pyinstrument",  # only where somebody wants a profile
    "ray",  # only where Ray hosts it; it brings the next one
    "starlette",
}


def modules(source: Path) -> Iterator[tuple[str, Path]]:
    for file in sorted(source.rglob("*.py")):
        parts = file.relative_to(source).with_suffix("").parts
        if parts[0] != "templates":
            yield ".".join(part for part in parts if part != "__init__"), file


def imported(file: Path, source: Path) -> Iterator[str]:
    """The modules of `hotfire` that a file imports, without that prefix."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "hotfire":
            base = node.module.removeprefix("hotfire").removeprefix(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}".removeprefix(".")
                yield inner if (source / inner.replace(".", "/")).with_suffix(".py").exists() else base


def row(module: str) -> int | None:
    for number, names in enumerate(ROWS):
        for name in names:
            if module == name or (name.endswith(".*") and module.startswith(name[:-1])):
                return number
    return None


def is_open(number: int) -> bool:
    return ROWS[number][0].endswith(".*")


@pytest.fixture(scope="module")
def source(repository: Path) -> Path:
    return repository / "src" / "hotfire"


PACKAGES = {"cli", "server", "console", "region", "instances"}


def test_every_module_has_a_place(source: Path) -> None:
    homeless = [name for name, _ in modules(source) if row(name) is None and name not in PACKAGES]
    assert homeless == []


def test_imports_point_down(source: Path) -> None:
    wrong = []
    for name, file in modules(source):
        for other in imported(file, source):
            here, there = row(name), row(other)
            if here is None or there is None:
                continue
            if there < here or (there == here and not is_open(here)):
                wrong.append(f"{name} imports {other}")
    # The public names are imported when they are asked for: the package itself is the lowest of all.
    lazy = (" imports deploy_env", " imports local")
    assert [line for line in wrong if line not in lazy] == []


def test_clients_know_nothing_of_the_inside_of_a_region(source: Path) -> None:
    wrong = [
        f"{name} imports {other}"
        for name, file in modules(source)
        for other in imported(file, source)
        if name.partition(".")[0] in CLIENTS and other.startswith(("region", "instances", "server"))
    ]
    assert wrong == []


def test_only_environment_reads_the_process_environment(source: Path) -> None:
    readers = [
        name
        for name, file in modules(source)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    ]
    assert set(readers) <= {"environment"}


def test_the_worker_imports_the_standard_library_and_what_handlers_are_served_with(repository: Path) -> None:
    import sys

    found = set()
    for file in (repository / "src" / "hotfire_worker").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").partition(".")[0])
    assert found - set(sys.stdlib_module_names) <= WORKER_MAY_IMPORT


def test_the_worker_is_in_the_syntax_of_python_3_9(repository: Path) -> None:
    for file in (repository / "src" / "hotfire_worker").glob("*.py"):
        ast.parse(file.read_text(), feature_version=(3, 9))
