"""The documentation says what the code does."""

import json
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hotfire.environment import KNOWN_KEYS
from hotfire.examples import MEMBERS
from hotfire.examples import load as load_examples


def test_every_command_and_option_is_documented(repository: Path) -> None:
    page = runpy.run_path(str(repository / "scripts" / "document_commands.py"))["page"]
    assert (repository / "docs" / "commands.md").read_text() == page()


def test_every_operation_of_the_region_is_documented(repository: Path) -> None:
    page = runpy.run_path(str(repository / "scripts" / "document_api.py"))["page"]
    assert (repository / "docs" / "api.md").read_text() == page()


def test_every_rule_of_preflight_is_documented(repository: Path) -> None:
    page = runpy.run_path(str(repository / "scripts" / "document_rules.py"))["page"]
    assert (repository / "docs" / "preflight.md").read_text() == page()


def test_every_key_of_the_configuration_is_documented(repository: Path) -> None:
    text = (repository / "docs" / "configuration.md").read_text()
    documented = set(re.findall(r"`(\w+)`", text))
    assert KNOWN_KEYS - documented == set()


def test_every_member_of_an_example_is_documented(repository: Path) -> None:
    text = (repository / "docs" / "examples.md").read_text()
    assert set(MEMBERS) - set(re.findall(r"`(\w+)`", text)) == set()


def test_the_example_of_the_page_on_examples_is_one(repository: Path, tmp_path: Path) -> None:
    page = (repository / "docs" / "examples.md").read_text()
    found = re.search(r"```json\n(.*?)```", page, re.DOTALL)
    assert found
    (tmp_path / "one.json").write_text(found[1])
    (example,) = load_examples(tmp_path)
    assert (example.request.body, example.expect.top) == (b'[["Oil prices fall"]]', "Business")


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "docs/architecture.md",
        "docs/configuration.md",
        "docs/performance.md",
        "docs/notebook.md",
        "docs/ci.md",
        "docs/init.md",
        "docs/dev.md",
        "docs/examples.md",
        "docs/containers.md",
        "docs/image.md",
        "docs/public-api.md",
        "docs/console.md",
        "docs/journal.md",
    ],
)
def test_links_lead_somewhere(repository: Path, name: str) -> None:
    file = repository / name
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", file.read_text())
    assert [target for target in targets if not (file.parent / target).exists()] == []


def test_the_readme_shows_what_it_is_and_how_to_begin_on_its_first_screen(repository: Path) -> None:
    screen = "\n".join((repository / "README.md").read_text().splitlines()[:24])
    order = [
        screen.find(text)
        for text in ("pip install", "hotfire new", "train.py", "hotfire deploy", "make demo", "make test")
    ]
    assert -1 not in order
    assert order == sorted(order)


def python_blocks(repository: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (repository / "README.md").read_text(), re.DOTALL)


def test_the_handler_of_the_readme_loads_and_answers(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    handler = next(block for block in python_blocks(repository) if "def model_fn" in block)
    (tmp_path / "handler.py").write_text(handler)
    (tmp_path / "network.py").write_text("from torch.nn import Identity as Network\n")
    torch.save({}, tmp_path / "weights.pt")
    monkeypatch.syspath_prepend(str(tmp_path))
    names = runpy.run_path(str(tmp_path / "handler.py"))
    model = names["model_fn"](str(tmp_path))
    data = names["input_fn"]("[[1.0, 2.0]]", "application/json")
    assert names["output_fn"](names["predict_fn"](data, model), "application/json") == "[[1.0, 2.0]]"


TINY = """\
import json

def model_fn(model_dir):
    return 1

def transform_fn(model, body, content_type, accept):
    return json.dumps({"answer": model, "data": json.loads(body)})
"""


def code(file: Path, language: str, heading: str = "") -> list[str]:
    """The blocks of a language in a page, or only those of the section that begins with a heading."""
    text = file.read_text()
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0] if heading else text
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A project of a few lines, with an example."""
    (tmp_path / "serve.py").write_text(TINY)
    (tmp_path / "config.yml").write_text("environments: {local: {model_name: tiny}}\n")
    (tmp_path / "examples").mkdir()
    example = {"request": {"body": [1], "content_type": "application/json"}, "expect": {"status": 200}}
    (tmp_path / "examples" / "one.json").write_text(json.dumps(example))
    return tmp_path


@pytest.fixture
def region_of_the_user() -> Iterator[None]:
    """Whatever starts the user's own region, it is stopped in the end."""
    from hotfire.environment import home
    from hotfire.server import daemon

    yield
    daemon.stop(home())


def test_the_cells_of_the_notebook_run(repository: Path, tmp_path: Path, region_of_the_user: None) -> None:
    page = (repository / "docs" / "notebook.md").read_text().partition("\n## ")[0]
    cells = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(cells) == 4
    shown = [re.sub(r"(?m)^(region|json\.load\(.*\))  # .*$", r"print(\1)", cell) for cell in cells]
    program = tmp_path / "notebook.py"
    program.write_text("\n".join(shown))
    done = subprocess.run(
        [sys.executable, str(program)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("<AWS clients lead to the local region at http://127.0.0.1:")
    assert lines[1] == "['Hello, Ada!']"


def test_the_context_manager_of_the_notebook_runs(
    repository: Path, tmp_path: Path, region_of_the_user: None
) -> None:
    cell = code(repository / "docs" / "notebook.md", "python", "What does not work, and what does instead")[0]
    done = subprocess.run(
        [sys.executable, "-c", cell], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_tests_of_the_page_on_ci_run(repository: Path, tiny: Path) -> None:
    (block,) = code(repository / "docs" / "ci.md", "python")
    (tiny / "test_page.py").write_text(block)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "hotfire.testing", "-p", "no:cacheprovider"]
    done = subprocess.run([*command], cwd=tiny, capture_output=True, text=True, check=False)
    assert "2 passed" in done.stdout, done.stdout


def test_the_workflow_of_the_page_on_ci_runs(repository: Path, tiny: Path, region_of_the_user: None) -> None:
    (block,) = code(repository / "docs" / "ci.md", "yaml")
    steps = yaml.safe_load(block)["jobs"]["test"]["steps"]
    commands = [step["run"] for step in steps if "run" in step]
    ours = [command for command in commands if command.startswith("hotfire ")]
    assert ours == ["hotfire deploy", "hotfire test --junit examples.xml", "hotfire logs"]
    for command in ours:
        words = [sys.executable, "-m", *command.split()]
        done = subprocess.run(words, cwd=tiny, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert 'tests="1"' in (tiny / "examples.xml").read_text()


def test_the_commands_of_the_page_on_dev_are_there(repository: Path) -> None:
    from hotfire.cli.root import hotfire

    lines = "".join(code(repository / "docs" / "dev.md", "sh")).splitlines()
    commands = [line.split()[1:] for line in lines if line.startswith("hotfire ")]
    assert [words[0] for words in commands] == ["dev", "dev", "dev", "bench", "bench"]
    for name, *arguments in commands:
        with hotfire.make_context("hotfire", [name]) as context:
            command = hotfire.get_command(context, name)
            assert command is not None
            # Raises where there is no such option.
            command.make_context(name, arguments, parent=context)


def test_the_commands_of_the_page_on_the_public_api_are_there(repository: Path) -> None:
    import click

    from hotfire.cli.root import hotfire

    lines = "".join(code(repository / "docs" / "public-api.md", "sh")).splitlines()
    commands = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("hotfire ")]
    assert [words[0] for words in commands] == ["keys", "keys", "keys", "up", "share"]
    for name, *arguments in commands:
        with hotfire.make_context("hotfire", [name]) as context:
            command = hotfire.get_command(context, name)
            assert command is not None
            if isinstance(command, click.Group):
                command = command.commands[arguments.pop(0)]
            # Raises where there is no such option.
            command.make_context(command.name, arguments, parent=context)


def test_the_load_of_the_page_on_dev_is_measured(
    repository: Path, tiny: Path, region_of_the_user: None
) -> None:
    lines = "".join(code(repository / "docs" / "dev.md", "sh", "How much it carries")).splitlines()
    subprocess.run([sys.executable, "-m", "hotfire", "deploy"], cwd=tiny, capture_output=True, check=True)
    for line in lines:
        words = [sys.executable, "-m", *line.replace("10s", "100ms").split()]
        more = [] if "--duration" in words else ["--duration", "100ms"]
        done = subprocess.run([*words, *more], cwd=tiny, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_changelog_has_an_entry_for_this_version(repository: Path) -> None:
    assert "## [Unreleased]" in (repository / "CHANGELOG.md").read_text()


def test_nothing_of_ours_is_imported_by_the_help(repository: Path) -> None:
    program = (
        "import sys; from hotfire.cli.root import run; run(['--help']); print(*sys.modules, file=sys.stderr)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    ).stderr
    loaded = set(printed.split())
    assert "hotfire.cli.root" in loaded
    assert loaded & {"boto3", "botocore", "yaml", "asyncio", "jinja2", "uvicorn", "torch", "sqlite3"} == set()
