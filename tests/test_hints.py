"""What is advised for failures as Python, torch, TorchServe and SageMaker word them."""

import pickle
import subprocess
import sys

import pytest

from hotfire.hints import HINTS, advice

FAILURES = {
    "numpy-abi": "A module that was compiled using NumPy 1.x cannot be run in\nNumPy 2.1.0 as it may crash.",
    "numpy-pickle": "ModuleNotFoundError: No module named 'numpy._core'",
    "missing-library": "ImportError: libGL.so.1: cannot open shared object file: No such file or directory",
    "missing-module": "ModuleNotFoundError: No module named 'sklearn'",
    "missing-name": "ImportError: cannot import name 'AutoModel' from 'transformers' (/x/__init__.py)",
    "pickled-class-safely": "Weights only load failed. WeightsUnpickler error: Unsupported global: "
    "GLOBAL __main__.Net was not an allowed global by default",
    "weights-only": "_pickle.UnpicklingError: Weights only load failed. This file can still be loaded",
    "newer-torch": "RuntimeError: Attempted to read a PyTorch file with version 11, but the maximum is 10",
    "no-cuda": "RuntimeError: Attempting to deserialize object on a CUDA device but "
    "torch.cuda.is_available() is False. If you are running on a CPU-only machine, please use torch.load",
    "gpu-memory": "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
    "two-devices": "RuntimeError: Expected all tensors to be on the same device, but found at least two",
    "memory": "RuntimeError: [enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory",
    "architecture": "standard_init_linux.go:228: exec user process caused: exec format error",
    "data-permission": "Could not access model data at s3://b/model.tar.gz. Please ensure that the role",
    "image-permission": "Requested image 123.dkr.ecr.us-east-1.amazonaws.com/x:1 not found.",
    "state-dict": "RuntimeError: Error(s) in loading state_dict for Net:\n\tsize mismatch for fc.weight",
    "shapes": "RuntimeError: mat1 and mat2 shapes cannot be multiplied (1x4 and 2x3)",
    "pickled-class": "AttributeError: Can't get attribute 'Net' on <module '__main__' (built-in)>",
    "no-model-file": "FileNotFoundError: [Errno 2] No such file or directory: '/home/me/w.pt'",
    "no-torchscript-file": "ValueError: The provided filename model.pt does not exist",
    "read-only": "OSError: [Errno 30] Read-only file system: '/opt/ml/model/cache'",
    "no-space": "OSError: [Errno 28] No space left on device",
    "ping": "The primary container for production variant AllTraffic did not pass the ping health check. "
    "Please check CloudWatch logs for this endpoint.",
    "worker-time-out": "org.pytorch.serve.wlm.WorkerThread - Backend worker did not respond in given time",
    "archive": "tar: Child returned status 1: gzip: stdin: not in gzip format",
    "quota": "An error occurred (ResourceLimitExceeded) when calling the CreateEndpoint operation",
    "capacity": "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error",
    "no-load": "NotImplementedError: Please provide a model_fn implementation.",
    "no-torchscript": "ModelLoadError: Failed to load /m/model.pt. Please ensure model is saved using "
    "torchscript.",
    "no-weights": "ValueError: Exactly one .pth or .pt file is required for PyTorch models: []",
    "not-json": "TypeError: Object of type ndarray is not JSON serializable",
    "default-accept": "in default_output_fn\nUnsupportedFormatError: Content type image/png is not supported "
    "by this framework.",
    "accept": "in output_fn\nUnsupportedFormatError: Content type image/png is not supported by this "
    "framework.",
    "content-type-parameter": "Content type application/json; charset=utf-8 is not supported by this "
    "framework.",
    "content-type": "in input_fn\nUnsupportedFormatError: Content type text/plain is not supported by this "
    "framework.",
    "default-content-type": "in default_input_fn\nUnsupportedFormatError: Content type text/plain is not "
    "supported by this framework.",
    "default-strings": "TypeError: can't convert np.ndarray of type numpy.str_. The only supported types are",
    "malformed-json": "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
    "signature": "TypeError: predict_fn takes 1 arguments but 2 were given.",
    "gradients": "RuntimeError: Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy()",
    "unsupported-answer": "Unsupported model output data type.",
    "late": "the handler had no answer within 60 s, and its process was ended",
    "large-request": "the request of 6553501 bytes is over TS_MAX_REQUEST_SIZE, 6553500",
    "large-answer": "The answer of 6553501 bytes is over TS_MAX_RESPONSE_SIZE, 6553500.",
    "crash": "the process that answers was killed by signal 11 (SIGSEGV)",
    "ended-while-loading": "the process ended with exit code 3 while it loaded the model",
    "slow-load": "the model was not loaded within 600 s",
    "exit": "the process that answers ended with exit code 3",
}


def test_every_hint_is_tried() -> None:
    assert [hint.name for hint in HINTS] == list(FAILURES)


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_gets_its_own_sentence(name: str) -> None:
    text = FAILURES[name]
    assert next(hint.name for hint in HINTS if hint.pattern.search(text)) == name
    said = advice(text)
    assert said is not None
    assert said.endswith(".")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("module", "line"),
    [("cv2", "opencv-python"), ("PIL.Image", "pillow"), ("yaml", "PyYAML"), ("tqdm", "tqdm")],
)
def test_a_missing_module_is_named_as_pypi_has_it(module: str, line: str) -> None:
    assert f"`{line}`" in str(advice(f"ModuleNotFoundError: No module named '{module}'"))


def test_what_python_itself_says_of_a_missing_module_is_understood() -> None:
    done = subprocess.run([sys.executable, "-m", "bs4"], capture_output=True, text=True, check=False)
    assert "`beautifulsoup4`" in str(advice(done.stderr))


def test_what_torch_itself_says_of_weights_of_another_shape_is_understood() -> None:
    import torch

    with pytest.raises(RuntimeError) as raised:
        torch.nn.Linear(2, 3).load_state_dict(torch.nn.Linear(4, 3).state_dict())
    assert "another shape" in str(advice(str(raised.value)))


def test_what_torch_itself_says_of_a_pickled_object_is_understood() -> None:
    import io

    import torch

    file = io.BytesIO()
    torch.save(subprocess.Popen, file)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError) as raised:
        torch.load(file, weights_only=True)
    assert "weights_only=False" in str(advice(str(raised.value)))


def test_the_cause_goes_before_what_came_of_it() -> None:
    log = "did not pass the ping health check\n" + FAILURES["missing-module"]
    assert "scikit-learn" in str(advice(log))


@pytest.mark.parametrize(
    "text", ["", "KeyError: 'inputs'", "ValueError: bad", "INFO started in room 12", "GET /ping 200"]
)
def test_an_unknown_failure_gets_no_advice(text: str) -> None:
    assert advice(text) is None


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("float32", ".item()"),
        ("int64", ".item()"),
        ("set", "list"),
        ("Tensor", ".tolist()"),
        ("bytes", "text"),
    ],
)
def test_what_json_cannot_hold_is_turned_by_its_own_means(kind: str, word: str) -> None:
    assert word in str(advice(f"TypeError: Object of type {kind} is not JSON serializable"))


def test_a_file_of_the_working_folder_is_sought_in_the_models() -> None:
    said = advice("FileNotFoundError: [Errno 2] No such file or directory: 'data/labels.txt'")
    assert "os.path.join(model_dir, 'data/labels.txt')" in str(said)


@pytest.mark.parametrize(
    ("name", "parameters"), [("model_fn", "model_dir"), ("output_fn", "prediction, accept")]
)
def test_a_function_is_told_its_parameters(name: str, parameters: str) -> None:
    said = advice(f"TypeError: {name} takes 5 arguments but 2 were given.")
    assert f"def {name}({parameters}):" in str(said)
