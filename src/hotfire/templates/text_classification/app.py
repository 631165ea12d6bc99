"""The same model behind FastAPI, to compare: `python app.py`, then http://127.0.0.1:8000/docs."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from text_classification import config, experiments
from text_classification.errors import UserError
from text_classification.experiments import Experiment
from text_classification.prediction import Classifier


class Text(BaseModel):
    """One of the texts to classify."""

    text: str


class Inputs(BaseModel):
    """What `/predict` takes."""

    experiment_id: str = experiments.LATEST
    inputs: list[Text]


def build(root: Path) -> FastAPI:
    """The service over the experiments in `root`."""
    app = FastAPI(title="Text classification")
    load = lru_cache(maxsize=4)(Classifier.load)

    @app.get("/")
    def index() -> dict[str, Any]:
        """What there is."""
        return {"name": app.title, "experiments": "/experiments", "predict": "/predict", "docs": "/docs"}

    @app.get("/experiments")
    def list_experiments() -> list[dict[str, Any]]:
        """All experiments, the newest first."""
        return [
            {"id": one.id, "created": one.config["created"], "accuracy": one.performance["accuracy"]}
            for one in experiments.every(root)
        ]

    @app.get("/experiment/details/{id}")
    def experiment_details(id: str) -> dict[str, Any]:
        """An experiment's options and performance; `latest` is one, too."""
        experiment = find(id)
        return {"id": experiment.id, "config": experiment.config, "performance": experiment.performance}

    @app.post("/predict")
    def predict(body: Inputs) -> dict[str, Any]:
        """Classify texts."""
        experiment = find(body.experiment_id)
        predictions = load(experiment.folder).predict([each.text for each in body.inputs])
        return {"experiment_id": experiment.id, "predictions": [asdict(one) for one in predictions]}

    def find(id: str) -> Experiment:
        try:
            return experiments.find(root, id)
        except UserError as error:
            raise HTTPException(404, str(error)) from error

    return app


app = build(config.EXPERIMENTS)


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen at (default: 8000)")
    arguments = parser.parse_args()
    uvicorn.run(app, host=arguments.host, port=arguments.port)


if __name__ == "__main__":
    main()
