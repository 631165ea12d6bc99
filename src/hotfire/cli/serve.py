"""`hotfire serve`: one model by the container's contract, without a region."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hotfire.cli import options
from hotfire.cli.output import Output


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Listen there; 0.0.0.0 is everywhere.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Listen there.")
@click.option(
    "--python", type=click.Path(path_type=Path), default=Path(sys.executable), help="The handler's Python."
)
@click.option(
    "--stream", is_flag=True, help="Answer in chunks, as they come, where the handler returns a generator."
)
@options.json
def serve(output: Output, model: Path, host: str, port: int, python: Path, stream: bool) -> None:
    """Serve MODEL, a folder or a model.tar.gz, as SageMaker's container does: /ping and /invocations.

    The variables SAGEMAKER_* and TS_* of this process are the container's.
    """
    from hotfire.environment import variables_of_process
    from hotfire.server.serve import Serving, run

    run(Serving(model, host, port, python, variables_of_process(), stream), output.say)
