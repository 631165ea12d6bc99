"""A project that is laid out as in the article of 2020 is deployed without a change to its files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Machine

HEADLINES = [
    ["The Wimbledon tennis tournament starts next week!"],
    ["The Canadian President signed in the new federal law."],
]

CONFIG = """\
environments:
  default: &default
    model_name: text-classification
    aws_role: sagemaker-role
  local:
    <<: *default
    instance_type: local
    model_data_path: 'file://build/model.tar.gz'
  production:
    <<: *default
    instance_type: ml.t2.medium
    model_data_path: s3://sagemaker-pytorch-text-classification/model.tar.gz
"""

# The handler imports its package from the working folder, and each request loads the newest experiment.
SERVE = """\
import json
import logging

from text_classification import config
from text_classification.predict import predict

logger = logging.getLogger("app")


def model_fn(model_dir):
    return None


def input_fn(request_body, request_content_type):
    assert request_content_type == "application/json"
    return [{"text": row[0]} for row in json.loads(request_body)]


def predict_fn(input_object, model):
    logger.info("classifying %d texts", len(input_object))
    return predict(experiment_id="latest", inputs=input_object)


def output_fn(prediction, content_type):
    return json.dumps(prediction)
"""

PACKAGE = {
    "__init__.py": "",
    "config.py": """\
import json
import logging.config
import os

BASE_DIR = os.getcwd()
EXPERIMENTS_DIR = os.path.join(BASE_DIR, "experiments")

with open(os.path.join(BASE_DIR, "logging.json")) as file:
    logging.config.dictConfig(json.load(file))
""",
    "utils.py": """\
import json


def load_json(filepath):
    with open(filepath) as file:
        return json.load(file)
""",
    "data.py": """\
import re


def words(text):
    return re.findall("[a-z]+", text.lower())
""",
    "models.py": """\
import torch


class Bag(torch.nn.Module):
    def __init__(self, vocabulary, classes):
        super().__init__()
        self.linear = torch.nn.Linear(vocabulary, classes)

    def forward(self, counts):
        return torch.softmax(self.linear(counts), dim=1)
""",
    "hp.py": "NUM_EPOCHS = 1\n",
    "train.py": "from text_classification import hp\n",
    "app.py": "from fastapi import FastAPI\n\napp = FastAPI()\n",
    "predict.py": """\
import os

import torch

from text_classification import config, data, models, utils


def predict(experiment_id, inputs):
    if experiment_id == "latest":
        experiment_id = max(os.listdir(config.EXPERIMENTS_DIR))
    folder = os.path.join(config.EXPERIMENTS_DIR, experiment_id)
    vocabulary = utils.load_json(os.path.join(folder, "X_tokenizer.json"))
    classes = utils.load_json(os.path.join(folder, "y_tokenizer.json"))
    model = models.Bag(len(vocabulary), len(classes))
    model.load_state_dict(torch.load(os.path.join(folder, "model.h5")))
    counts = torch.zeros(len(inputs), len(vocabulary))
    for row, one in enumerate(inputs):
        for word in data.words(one["text"]):
            if word in vocabulary:
                counts[row, vocabulary.index(word)] += 1
    with torch.no_grad():
        probabilities = model(counts).tolist()
    return [
        {"raw_input": one["text"], "experiment": experiment_id, "probabilities": dict(zip(classes, row))}
        for one, row in zip(inputs, probabilities)
    ]
""",
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
    "loggers": {"app": {"handlers": ["console"], "level": "INFO"}},
}

# What such a project's own scripts do, by the DeployEnv that was theirs and now is ours.
ASK = """\
import json
import sys

from hotfire import DeployEnv

env = DeployEnv()
print(json.dumps({
    "names": [env.current_env(), env.setting("model_name")],
    "is": [env.isLocal(), env.isProduction(), env.isDeployed()],
    "endpoint": env.client().describe_endpoint(EndpointName=env.setting("model_name"))["EndpointStatus"],
    "answer": json.loads(
        env.runtime_client()
        .invoke_endpoint(
            EndpointName=env.setting("model_name"), ContentType="application/json", Body=sys.argv[1]
        )["Body"]
        .read()
    ),
}))
"""

TRAIN = """\
import json
import sys
from pathlib import Path

sys.path.insert(0, ".")

import torch
from text_classification.models import Bag

folder = Path("experiments", sys.argv[1])
folder.mkdir(parents=True)
vocabulary, classes = ["tennis", "president"], ["Sports", "World"]
model = Bag(2, 2)
model.load_state_dict({"linear.weight": torch.eye(2) * 5, "linear.bias": torch.zeros(2)})
torch.save(model.state_dict(), folder / "model.h5")
(folder / "X_tokenizer.json").write_text(json.dumps(vocabulary))
(folder / "y_tokenizer.json").write_text(json.dumps(classes))
(folder / "config.json").write_text("{}")
(folder / "performance.json").write_text("{}")
(folder / "confusion_matrix.png").write_bytes(b"PNG")
"""


def train(machine: Machine, folder: Path, name: str) -> None:
    done = machine.run([sys.executable, "-c", TRAIN, name], at=folder)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def article(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, trained and deployed."""
    folder = tmp_path_factory.mktemp("article")
    files = {f"text_classification/{name}": text for name, text in PACKAGE.items()} | {
        "deploy/sagemaker/config.yml": CONFIG,
        "deploy/sagemaker/serve.py": SERVE,
        "deploy/sagemaker/ask.py": ASK,
        "logging.json": json.dumps(LOGGING),
        "requirements.txt": "numpy\n",
    }
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    train(machine, folder, "20200501-120000-first")
    done = machine.hotfire("deploy", at=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def ask(machine: Machine, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "deploy/sagemaker/ask.py", json.dumps(HEADLINES)]
    return machine.run(command, at=folder, **variables)


def test_its_own_script_gets_the_categories(machine: Machine, article: Path) -> None:
    done = ask(machine, article)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    probabilities = [one["probabilities"] for one in told["answer"]]
    assert [max(one, key=one.get) for one in probabilities] == ["Sports", "World"]
    assert told["names"] == ["local", "text-classification"]
    assert told["is"] == [True, False, True]
    assert told["endpoint"] == "InService"


def test_what_the_handler_uses_is_where_it_looks_for_it(machine: Machine, article: Path) -> None:
    listed = [file["place"] for file in machine.told("pack", "--list", at=article)["files"]]
    experiment = "experiments/20200501-120000-first"
    assert {f"{experiment}/model.h5", f"{experiment}/X_tokenizer.json", "logging.json"} <= set(listed)
    assert {"code/serve.py", "code/requirements.txt"} <= set(listed)
    assert [place for place in listed if place.endswith("/predict.py")] != []


def test_what_is_taken_along_is_said(machine: Machine, article: Path) -> None:
    notes = machine.hotfire("pack", "--list", at=article).stderr
    for name in ("text_classification/", "experiments/", "logging.json", "requirements.txt"):
        assert f"Note: {name} is taken along" in notes


def test_commands_work_from_a_folder_inside(machine: Machine, article: Path) -> None:
    assert machine.told("status", at=article / "deploy" / "sagemaker")["state"] == "InService"


def test_its_logging_reaches_the_logs(machine: Machine, article: Path) -> None:
    ask(machine, article)
    assert "classifying 2 texts" in machine.hotfire("logs", at=article).stdout


def test_a_new_experiment_serves_after_a_deploy(machine: Machine, article: Path) -> None:
    train(machine, article, "20200601-120000-second")
    assert machine.hotfire("deploy", at=article).returncode == 0
    answers = json.loads(ask(machine, article).stdout)["answer"]
    assert {one["experiment"] for one in answers} == {"20200601-120000-second"}


def test_the_archive_goes_where_its_config_says(machine: Machine, article: Path) -> None:
    assert machine.told("pack", at=article)["path"] == str(article / "build" / "model.tar.gz")


def test_its_other_environment_is_at_aws(machine: Machine, article: Path) -> None:
    done = ask(machine, article, DEPLOY_ENV="production")
    assert done.returncode == 1
    assert "production" in done.stderr
    assert "ConfigError" in done.stderr
