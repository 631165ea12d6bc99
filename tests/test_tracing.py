"""What a handler uses is read off its sources, and what is not there is not invented."""

from pathlib import Path

import pytest

from hotfire.tracing import SearchFolder, imported, modules, named


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root / "deploy/serve.py"


def folders(root: Path) -> list[SearchFolder]:
    return [SearchFolder(root / "deploy", "code/"), SearchFolder(root, "")]


def titles(root: Path, files: dict[str, str]) -> list[str]:
    handler = write(root, files)
    return [module.title for module in modules(handler, folders(root))]


def imports(root: Path, files: dict[str, str]) -> list[tuple[str, str]]:
    handler = write(root, files)
    uses = imported(modules(handler, folders(root)), folders(root))
    return [(use.place, use.reason) for use in uses]


def names(root: Path, source: str, *there: str) -> list[str]:
    handler = write(root, {"deploy/serve.py": source, **dict.fromkeys(there, "")})
    return [use.place for use in named(modules(handler, folders(root)), root)]


@pytest.mark.parametrize(
    "source",
    [
        "import pkg.a",
        "import pkg.a as b",
        "from pkg import a",
        "from pkg.a import something",
        "def predict_fn(data, model):\n    from pkg import a",
        "try:\n    import pkg.a\nexcept ImportError:\n    pass",
        "import importlib\nimportlib.import_module('pkg.a')",
    ],
)
def test_every_way_to_import(tmp_path: Path, source: str) -> None:
    files = {"deploy/serve.py": source, "pkg/__init__.py": "", "pkg/a.py": "", "pkg/unused.py": ""}
    assert titles(tmp_path, files) == ["serve.py", "pkg/__init__.py", "pkg/a.py"]


def test_imports_are_followed_through_modules(tmp_path: Path) -> None:
    files = {
        "deploy/serve.py": "import pkg.a",
        "pkg/__init__.py": "",
        "pkg/a.py": "from . import b\nfrom .sub.c import x",
        "pkg/b.py": "import other",
        "pkg/sub/__init__.py": "",
        "pkg/sub/c.py": "from .. import d\nfrom ..b import y",
        "pkg/d.py": "import serve",
        "other.py": "",
    }
    assert set(titles(tmp_path, files)) == {
        *("serve.py", "pkg/__init__.py", "pkg/a.py", "pkg/b.py"),
        *("pkg/sub/__init__.py", "pkg/sub/c.py", "pkg/d.py", "other.py"),
    }


def test_what_is_needed_is_said_with_who_needs_it(tmp_path: Path) -> None:
    files = {
        "deploy/serve.py": "import pkg, helper, torch",
        "deploy/helper.py": "import serve",
        "pkg/__init__.py": "import other",
        "other/x.py": "",
        "unused/__init__.py": "",
    }
    assert imports(tmp_path, files) == [
        ("pkg", "serve.py imports it"),
        ("code/helper.py", "serve.py imports it"),
        ("other", "pkg/__init__.py imports it"),
    ]


def test_what_lies_beside_the_handler_goes_first(tmp_path: Path) -> None:
    files = {"deploy/serve.py": "import both", "deploy/both.py": "", "both.py": ""}
    assert imports(tmp_path, files) == [("code/both.py", "serve.py imports it")]


def test_the_standard_library_is_never_the_project_s(tmp_path: Path) -> None:
    files = {
        "deploy/serve.py": "import code, logging.config",
        "code/__init__.py": "",
        "logging/config.py": "",
    }
    assert imports(tmp_path, files) == []


@pytest.mark.parametrize(
    "source", ["def (:", "a = 1\0", "from . import x", "from ... import y", "import absent"]
)
def test_a_source_that_says_nothing_useful_uses_nothing(tmp_path: Path, source: str) -> None:
    assert imports(tmp_path, {"deploy/serve.py": source, "x.py": "", "y.py": ""}) == []


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("open('labels.json')", "labels.json"),
        ("LABELS = './labels.json'", "labels.json"),
        ("os.path.join('data', 'vocab.txt')", "data/vocab.txt"),
        ("os.path.join(model_dir, 'data', 'vocab.txt')", "data/vocab.txt"),
        ("Path('data') / 'vocab.txt'", "data/vocab.txt"),
        ("Path('data', 'vocab.txt').read_text()", "data/vocab.txt"),
        ("Path(model_dir).joinpath('data/vocab.txt')", "data/vocab.txt"),
        ("os.path.join('runs', run_id, 'labels.json')", "runs"),
        ("f'runs/{run_id}/model.pt'", "runs"),
        ("glob.glob('runs/*/model.pt')", "runs"),
        ("Path('runs').glob('*')", "runs"),
        ("{'a': ['b', ('labels.json',)]}", "labels.json"),
        ("def f(x='labels.json'): ...", "labels.json"),
    ],
)
def test_every_way_to_name_a_file(tmp_path: Path, source: str, place: str) -> None:
    assert names(tmp_path, source, "labels.json", "data/vocab.txt", "runs/1/model.pt") == [place]


@pytest.mark.parametrize(
    "source",
    [
        "'labels.json is a file'",
        "def f():\n    'labels.json'",
        "open('/etc/passwd')",
        "open('../labels.json')",
        "open('labels.json\\0')",
        "x = ''",
        "x = '.'",
        "x = '/'",
        "print('/'.join(['a', 'b']))",
        "x = 'a' * 100000",
        "os.path.join(a, b, 'labels.json')",
        "f'{run}/labels.json'",
        "'text/csv'",
    ],
)
def test_what_names_no_file_of_the_root(tmp_path: Path, source: str) -> None:
    assert names(tmp_path, source, "labels.json", "text/other") == []


def test_a_folder_whose_name_is_followed_by_a_missing_file_is_not_taken(tmp_path: Path) -> None:
    assert names(tmp_path, "open(os.path.join('runs', 'new.txt'), 'w')", "runs/1/model.pt") == []


@pytest.mark.parametrize(
    "source",
    [
        "open(os.path.join(os.path.dirname(__file__), 'labels.json'))",
        "HERE = Path(__file__).parent\nopen(HERE / 'labels.json')",
        "HERE = Path(__file__).parent\nTHERE: Path = HERE\nopen(THERE / 'labels.json')",
        "import settings\nopen(settings.BASE / 'labels.json')",
    ],
)
def test_a_path_built_on_file_is_sought_beside_the_source(tmp_path: Path, source: str) -> None:
    there = {
        "deploy/labels.json": "",
        "labels.json": "",
        "deploy/settings.py": "BASE = Path(__file__).parent",
    }
    write(tmp_path, there)
    assert names(tmp_path, source) == ["code/labels.json"]


def test_a_path_built_on_file_that_is_only_in_the_root(tmp_path: Path) -> None:
    source = "ROOT = Path(__file__).parent.parent.parent\nopen(ROOT / 'labels.json')"
    assert names(tmp_path, source, "labels.json") == ["labels.json"]
