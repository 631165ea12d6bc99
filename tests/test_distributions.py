"""Which packages bring an imported module."""

from importlib.metadata import files

import pytest

from hotfire.distributions import distribution_of, providers_of


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("yaml", "PyYAML"),
        ("sklearn.svm", "scikit-learn"),
        ("google.cloud.storage", "google-cloud-storage"),
        ("google.protobuf.text_format", "protobuf"),
        ("einops", "einops"),
    ],
)
def test_a_module_is_asked_for_by_its_packages_name(module: str, name: str) -> None:
    assert distribution_of(module) == name


@pytest.mark.parametrize("module", ["sagemaker_inference", "sagemaker_pytorch_serving_container"])
def test_the_toolkit_brings_what_handlers_import_of_it(module: str) -> None:
    toolkit = "sagemaker-pytorch-inference"
    assert module in {file.parts[0] for file in files(toolkit) or ()}
    assert toolkit in providers_of(module)
