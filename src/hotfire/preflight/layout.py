"""Rules about the model data itself: where things lie in an archive, and what its weights say."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

from hotfire.preflight.finding import Found, Rule
from hotfire.preflight.image_choice import torch_by
from hotfire.preflight.subject import CODE, Subject

WEIGHTS = frozenset({".pt", ".pth", ".bin", ".ckpt", ".h5", ".model"})
"""What files of torch's are called, and what others are called that may be torch's."""

_RECORDS = {".format_version": (2, 7), ".storage_alignment": (2, 7), "byteorder": (2, 1)}
"""What torch has put into its files since which version."""


def _layout(subject: Subject) -> Iterator[Found]:
    if subject.origin is None or subject.sizes is None:
        return
    places = subject.sizes
    if not any(place.startswith(CODE) and place.endswith(".py") for place in places):
        yield Found(*_no_code(list(places)), subject.origin)
    elif not subject.handler.is_file():
        message = f"It holds no {CODE}{subject.handler.name}, the handler."
        advice = "Pack it by `hotfire pack`, or name the handler by `entry_point`."
        yield Found(message, advice, subject.origin)
    if "requirements.txt" in places and f"{CODE}requirements.txt" not in places:
        message = "requirements.txt lies at the root; SageMaker installs code/requirements.txt alone."
        yield Found(message, "Move it into code/.", subject.origin, severity="warning")


def _no_code(places: list[str]) -> tuple[str, str]:
    tops = {place.partition("/")[0] for place in places}
    inner = next((place for place in places if f"/{CODE}" in place), None)
    if inner is not None and len(tops) == 1:
        top = next(iter(tops))
        message = f"All of it lies in the folder {top}/: SageMaker looks for {CODE} at the root."
        return message, f"Pack what is in it: `tar -czf model.tar.gz -C {top} .`"
    handlers = [place for place in places if Path(place).name in ("inference.py", "serve.py")]
    if handlers:
        message = f"{handlers[0]} does not lie in {CODE}, where SageMaker looks for the handler."
        return message, f"Move it into {CODE}, or pack by `hotfire pack`."
    return f"It holds no handler: there is no .py file in {CODE}.", "Pack it by `hotfire pack`."


def _weights_torch(subject: Subject) -> Iterator[Found]:
    image = subject.image
    if image is None:
        return
    major, minor = (int(number) for number in image.torch.split(".")[:2])
    for place, source in subject.sources.items():
        if Path(place).suffix not in WEIGHTS:
            continue
        since = saved_since(source)
        if since is not None and since > (major, minor):
            newer = ".".join(map(str, since))
            message = f"{place} was saved by torch {newer} or newer, and the image has torch {image.torch}."
            advice = (
                "A state_dict of plain tensors mostly loads; a whole model may not. Train with the image's "
                f"torch, choose another by {torch_by(image)}, or try it in that torch first."
            )
            yield Found(message, advice, source)


def saved_since(file: Path) -> tuple[int, int] | None:
    """The oldest torch that can have written a file, as far as it tells; None if it does not tell."""
    try:
        with zipfile.ZipFile(file) as content:
            names = {name.partition("/")[2] for name in content.namelist()}
    except (OSError, zipfile.BadZipFile):
        return None
    if "data.pkl" not in names:
        return None
    return max((since for record, since in _RECORDS.items() if record in names), default=None)


RULES = (
    Rule(
        "layout",
        "error",
        "An archive without its handler in code/, or with all of it in one folder more. (A warning for a "
        "requirements.txt that does not lie in code/.)",
        "Pack it by `hotfire pack`, or as the message says.",
        _layout,
        of_aws=False,
    ),
    Rule(
        "weights-torch",
        "warning",
        "Weights that were saved by a newer torch than the image's, as far as the file tells.",
        "Train with the image's torch, choose another by `framework_version` (with `serving: hotfire`, by "
        "`own_image.torch`), or see that they load there.",
        _weights_torch,
    ),
)
