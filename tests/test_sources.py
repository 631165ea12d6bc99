"""Which files of a project become model data, and where they go."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hotfire.archive import pack, unpack
from hotfire.errors import ArchiveError, ProjectError
from hotfire.hashes import HashCache
from hotfire.model_data import ModelData, listing, tree_sha256
from hotfire.sources import Sources, collect


def write(root: Path, *names: str, **texts: str) -> None:
    """Files whose text is their name; `.gitignore` and the like by keyword."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    for kind, text in texts.items():
        (root / f".{kind}").write_text(text)


def gathered(root: Path, handler: str = "serve.py", **settings: Any) -> ModelData:
    """Collect; paths of settings are relative to the root."""
    source_dir = settings.get("source_dir")
    sources = Sources(
        root,
        root / handler,
        root / source_dir if source_dir else None,
        tuple(root / name for name in settings.get("artifacts", ())),
        tuple(root / name for name in settings.get("left_out", ())),
    )
    return collect(sources, HashCache(root.parent / "hashes.json"))


def places(data: ModelData) -> list[str]:
    return [place for place, _ in listing(data) if not place.endswith("ignore")]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project's folder, with a name as people give them."""
    folder = tmp_path / "Projekt für Überschriften"
    folder.mkdir()
    return folder


class TestSourceDir:
    def test_sources_and_artifacts_go_to_their_places(self, root: Path) -> None:
        write(root, "serve.py", "requirements.txt", "pkg/a.py", "runs/1/model.pt", "runs/1/sub/x.json")
        write(root, gitignore="runs/\n")
        (root / "runs/latest").symlink_to("1")
        data = gathered(root, source_dir=".", artifacts=["runs/latest"])
        assert places(data) == [
            "code/pkg/a.py",
            "code/requirements.txt",
            "code/serve.py",
            "model.pt",
            "sub/x.json",
        ]
        assert (data.entry_point, data.notes) == ("serve.py", ())

    def test_the_name_is_that_of_the_tree(self, root: Path) -> None:
        write(root, "serve.py", "model.pt")
        data = gathered(root, source_dir=".", artifacts=["model.pt"])
        assert data.sha256 == tree_sha256(data.entries)

    def test_artifacts_are_not_doubled_in_code(self, root: Path) -> None:
        write(root, "serve.py", "runs/1/model.pt", "runs/2/model.pt", "weights.pt")
        (root / "latest").symlink_to("runs/2")
        data = gathered(root, source_dir=".", artifacts=["latest", "weights.pt"])
        assert places(data) == ["code/runs/1/model.pt", "code/serve.py", "model.pt", "weights.pt"]

    def test_what_the_caller_leaves_out_is_nowhere(self, root: Path) -> None:
        write(root, "serve.py", "examples/a.json", "build/model.tar.gz", "config.yml", "runs/config.yml")
        data = gathered(
            root,
            source_dir=".",
            artifacts=["."],
            left_out=["examples", "build/model.tar.gz", "config.yml", "absent"],
        )
        assert places(data) == ["code/runs/config.yml", "code/serve.py", "runs/config.yml", "serve.py"]

    def test_a_handler_elsewhere_is_brought_with_its_requirements(self, root: Path) -> None:
        write(root, "src/a.py", "src/requirements.txt", "deploy/serve.py", "deploy/requirements.txt", "m.pt")
        data = gathered(root, "deploy/serve.py", source_dir="src", artifacts=["m.pt"])
        assert places(data) == ["code/a.py", "code/requirements.txt", "code/serve.py", "m.pt"]
        assert [entry.source for entry in data.entries if entry.place == "code/requirements.txt"] == [
            root / "deploy/requirements.txt"
        ]
        assert data.notes == (
            f"{root}/deploy/requirements.txt is code/requirements.txt; "
            f"{root}/src/requirements.txt is not taken.",
        )

    def test_what_a_handler_deep_in_it_imports_beside_itself(self, root: Path) -> None:
        write(root, "pkg/a.py", "code/helper.py", "m.pt")
        (root / "code/inference.py").write_text("import helper\nfrom pkg import a")
        data = gathered(root, "code/inference.py", source_dir=".", artifacts=["m.pt"])
        assert places(data) == [
            "code/code/helper.py",
            "code/code/inference.py",
            "code/helper.py",
            "code/inference.py",
            "code/pkg/a.py",
            "m.pt",
        ]
        assert data.notes == ("helper.py is taken along to code/: inference.py imports it.",)

    def test_another_file_of_the_handler_s_name_is_named(self, root: Path) -> None:
        write(root, "src/serve.py", "deploy/serve.py", "m.pt")
        with pytest.raises(
            ArchiveError, match=r"Both .*src/serve\.py and .*deploy/serve\.py are to be code/serve"
        ):
            gathered(root, "deploy/serve.py", source_dir="src", artifacts=["m.pt"])

    def test_without_artifacts_what_the_handler_names_is_brought_to_the_model_folder(
        self, root: Path
    ) -> None:
        write(root, "pkg/a.py", "labels.json", "unused.json", "local.json")
        (root / "serve.py").write_text(
            "import pkg.a\nopen('labels.json')\nopen(Path(__file__).parent / 'local.json')"
        )
        data = gathered(root, source_dir=".")
        assert places(data) == [
            "code/local.json",
            "code/pkg/a.py",
            "code/serve.py",
            "code/unused.json",
            "labels.json",
        ]
        assert data.notes == ("labels.json is taken along to the model folder: serve.py names it.",)

    def test_sources_inside_an_artifact_stay_sources(self, root: Path) -> None:
        write(root, "model/code/inference.py", "model/code/helper.py", "model/model.pt")
        data = gathered(root, "model/code/inference.py", source_dir="model/code", artifacts=["model"])
        assert places(data) == ["code/helper.py", "code/inference.py", "model.pt"]

    def test_a_demo_folder_that_git_ignores_works(self, root: Path) -> None:
        write(root, ".git/HEAD", "demo/serve.py", "demo/m.pt", "demo/x.pyc", gitignore="demo/\n")
        data = gathered(root / "demo", source_dir=".", artifacts=["m.pt"])
        assert places(data) == ["code/serve.py", "m.pt"]

    def test_much_code_is_said(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("hotfire.sources.LARGE_CODE", 3 << 20)
        write(root, "serve.py", "m.pt")
        (root / "data.csv").write_bytes(bytes(4 << 20))
        data = gathered(root, source_dir=".", artifacts=["m.pt"])
        assert data.notes == (
            "code/ holds 4 MB, code/data.csv 4 MB of it. What the handler does not need can be named in "
            ".hotfireignore.",
        )

    def test_a_missing_one_is_named(self, root: Path) -> None:
        write(root, "serve.py")
        with pytest.raises(ProjectError, match=r"source_dir: there is no folder .*/src"):
            gathered(root, source_dir="src")


class TestArtifacts:
    def test_a_missing_one_is_named_with_key_and_step(self, root: Path) -> None:
        write(root, "serve.py")
        with pytest.raises(ProjectError) as raised:
            gathered(root, artifacts=["experiments/latest"])
        assert raised.value.message == f"artifacts: there is no experiments/latest in {root}."
        assert raised.value.advice == "Train the model first, or mend `artifacts` in config.yml."

    def test_a_link_to_nothing_says_where_it_leads(self, root: Path) -> None:
        write(root, "serve.py")
        (root / "latest").symlink_to("runs/9")
        with pytest.raises(ProjectError, match=r"no latest \(a link to runs/9\)"):
            gathered(root, artifacts=["latest"])

    def test_git_s_ignore_files_do_not_count_but_ours_inside_do(self, root: Path) -> None:
        write(root, "serve.py", "runs/model.pt", "runs/plot.png", gitignore="*.pt\n", hotfireignore="runs/\n")
        write(root / "runs", gitignore="*\n", hotfireignore="*.png\n")
        assert places(gathered(root, artifacts=["runs"])) == ["code/serve.py", "model.pt"]

    def test_two_files_for_one_place_are_both_named(self, root: Path) -> None:
        write(root, "serve.py", "a/model.pt", "b/model.pt")
        with pytest.raises(ArchiveError, match=r"Both .*a/model\.pt and .*b/model\.pt are to be model\.pt"):
            gathered(root, artifacts=["a", "b"])

    def test_one_file_by_two_ways_is_one(self, root: Path) -> None:
        write(root, "serve.py", "a/model.pt")
        assert places(gathered(root, artifacts=["a", "a/model.pt"])) == ["code/serve.py", "model.pt"]

    def test_a_file_where_another_is_a_folder(self, root: Path) -> None:
        write(root, "serve.py", "a/vocab", "b/vocab/x.txt")
        with pytest.raises(ArchiveError, match=r"a/vocab is to be the file vocab"):
            gathered(root, artifacts=["a", "b"])

    def test_a_link_that_goes_round(self, root: Path) -> None:
        write(root, "serve.py", "runs/model.pt")
        (root / "runs/again").symlink_to("../runs")
        with pytest.raises(ArchiveError, match="runs/again is a link to a folder that it lies in"):
            gathered(root, artifacts=["runs"])

    def test_an_empty_file(self, root: Path) -> None:
        write(root, "serve.py")
        (root / "empty.bin").touch()
        assert ("empty.bin", 0) in listing(gathered(root, artifacts=["empty.bin"]))

    def test_a_named_pipe(self, root: Path) -> None:
        write(root, "serve.py")
        os.mkfifo(root / "pipe")
        with pytest.raises(ArchiveError, match="pipe is a named pipe"):
            gathered(root, artifacts=["pipe"])

    def test_a_socket_in_a_folder(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write(root, "serve.py", "runs/model.pt")
        monkeypatch.chdir(root / "runs")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("s")
            with pytest.raises(ArchiveError, match="runs/s is a socket"):
                gathered(root, artifacts=["runs"])

    def test_a_name_that_is_not_utf8(self, root: Path) -> None:
        write(root, "serve.py", "runs/model.pt")
        Path(os.fsdecode(os.fsencode(root) + b"/runs/\xff")).touch()
        with pytest.raises(ArchiveError, match="is not UTF-8"):
            gathered(root, artifacts=["runs"])


class TestTakenAlong:
    def test_without_source_dir_code_is_what_the_handler_imports(self, root: Path) -> None:
        write(root, "helper.py", "pkg/__init__.py", "pkg/data.json", "unused.py", "m.pt", "requirements.txt")
        write(root, "pkg/tests/test_a.py", "pkg/__pycache__/a.pyc")
        (root / "serve.py").write_text("import helper, pkg, torch")
        data = gathered(root, artifacts=["m.pt"])
        assert places(data) == [
            "code/helper.py",
            "code/pkg/__init__.py",
            "code/pkg/data.json",
            "code/requirements.txt",
            "code/serve.py",
            "m.pt",
        ]
        assert data.notes == (
            "helper.py is taken along to code/: serve.py imports it.",
            "pkg/ is taken along to code/: serve.py imports it.",
        )

    def test_with_artifacts_names_in_sources_mean_nothing(self, root: Path) -> None:
        write(root, "labels.json", "m.pt")
        (root / "serve.py").write_text("open('labels.json')")
        assert places(gathered(root, artifacts=["m.pt"])) == ["code/serve.py", "m.pt"]

    def test_a_weights_file_beside_the_handler(self, root: Path) -> None:
        write(root, "model.pth", "other.pth")
        (root / "serve.py").write_text("def model_fn(d): return load(os.path.join(d, 'model.pth'))")
        assert places(gathered(root)) == ["code/serve.py", "model.pth"]

    def test_folders_of_training_are_left_out_and_that_is_said(self, root: Path) -> None:
        write(root, "data/big.csv", "tests/a.py", "data/labels.json")
        (root / "logs").mkdir()
        (root / "serve.py").write_text("'data', 'logs', 'tests', open('data/labels.json')")
        data = gathered(root)
        assert places(data) == ["code/serve.py", "data/labels.json"]
        assert data.notes == (
            "data/ is left out although serve.py names it: it looks like a folder of training. "
            "If the handler needs it, write !data/ in .hotfireignore.",
            "data/labels.json is taken along to the model folder: serve.py names it.",
        )

    def test_hotfireignore_has_the_last_word(self, root: Path) -> None:
        write(root, "data/a.csv", "data/b.tmp", "runs/model.pt", "pkg/__init__.py")
        write(root, hotfireignore="!data/\n*.tmp\nruns/\npkg/\n")
        (root / "serve.py").write_text("import pkg\n'data', 'runs'")
        assert places(gathered(root)) == ["code/serve.py", "data/a.csv"]

    def test_the_handler_s_own_folder_is_never_data(self, root: Path) -> None:
        write(root, "deploy/other.json")
        (root / "deploy/serve.py").write_text("'deploy'")
        assert places(gathered(root, "deploy/serve.py")) == ["code/serve.py"]

    def test_a_broken_handler_is_for_others_to_report(self, root: Path) -> None:
        (root / "serve.py").write_text("def (")
        assert places(gathered(root)) == ["code/serve.py"]

    def test_a_missing_handler_is_named(self, root: Path) -> None:
        with pytest.raises(ProjectError, match=r"There is no handler .*/serve\.py"):
            gathered(root)


ARTICLE = {
    "deploy/sagemaker/config.yml": "environments: {}\n",
    "deploy/sagemaker/deploy.py": "import text_classification.train\n",
    "deploy/sagemaker/deploy_env.py": "",
    "deploy/sagemaker/serve.py": """
import json
from text_classification import config, predict

def model_fn(model_dir):
    return None

def predict_fn(data, model):
    return predict.predict(experiment_id="latest", inputs=data)
""",
    "deploy/sagemaker/test.py": "",
    "text_classification/__init__.py": "",
    "text_classification/app.py": "",
    "text_classification/config.py": """
import logging.config
import os
from text_classification import utils

BASE_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOGS_DIR = os.path.join(BASE_DIR, "logs")
EXPERIMENTS_DIR = os.path.join(BASE_DIR, "experiments")
utils.create_dirs(LOGS_DIR)
log_config = utils.load_json(os.path.join(BASE_DIR, "logging.json"))
""",
    "text_classification/data.py": "",
    "text_classification/hp.py": "",
    "text_classification/models.py": "",
    "text_classification/predict.py": """
import os
from text_classification import config, data, models

def predict(experiment_id, inputs):
    folder = os.path.join(config.EXPERIMENTS_DIR, max(os.listdir(config.EXPERIMENTS_DIR)))
    with open(os.path.join(folder, "config.json")) as file:
        return file.read()
""",
    "text_classification/train.py": "open('data/news.csv')\n",
    "text_classification/utils.py": "import json\n",
    **{
        f"experiments/{run}/{name}": run
        for run in ("2020-07-01-a", "2020-07-02-b")
        for name in ("config.json", "model.h5", "X_tokenizer.json", "y_tokenizer.json", "performance.json")
    },
    "data/news.csv": "title,category\n",
    "logs/info.log": "",
    "logging.json": "{}",
    "requirements.txt": "torch\n",
    "build/model.tar.gz": "old",
    "tests/test_data.py": "",
    ".git/HEAD": "",
    "venv/pyvenv.cfg": "",
}


@pytest.fixture
def article(root: Path) -> Path:
    """The article's project: no entry point, no source, no artifacts in its config."""
    for name, text in ARTICLE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


class TestTheArticlesProject:
    def test_holds_what_its_own_archive_holds(self, article: Path) -> None:
        held = places(gathered(article, "deploy/sagemaker/serve.py"))
        expected = [
            name
            for name in ARTICLE
            if name.startswith(("text_classification/", "experiments/")) or name == "logging.json"
        ]
        assert held == sorted(["code/requirements.txt", "code/serve.py", *expected])

    def test_says_what_it_took_along(self, article: Path) -> None:
        along = [note for note in gathered(article, "deploy/sagemaker/serve.py").notes if "along" in note]
        assert along == [
            "requirements.txt is taken along to code/: SageMaker installs it there.",
            "text_classification/ is taken along to the model folder: serve.py imports it.",
            "experiments/ is taken along to the model folder: text_classification/config.py names it.",
            "logging.json is taken along to the model folder: text_classification/config.py names it.",
        ]

    def test_its_handler_finds_what_it_looks_for(self, article: Path, tmp_path: Path) -> None:
        """Where it will run: the model folder as working folder, both folders on the path."""
        pack(gathered(article, "deploy/sagemaker/serve.py"), tmp_path / "m.tar.gz")
        unpack(tmp_path / "m.tar.gz", tmp_path / "model")
        (tmp_path / "model/text_classification/utils.py").write_text(
            "import json, os\n"
            "def create_dirs(path): os.makedirs(path, exist_ok=True)\n"
            "def load_json(path): return json.load(open(path))\n"
        )
        program = "import sys; sys.path[:0] = ['code', '.']; import serve; print(serve.predict_fn([], None))"
        ran = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path / "model",
            check=True,
            capture_output=True,
            text=True,
        )
        assert ran.stdout == "2020-07-02-b\n"
