"""AWS's images for PyTorch models: which there are, where, and what they carry.

The table of accounts and versions is that of SageMaker's Python SDK 2.257 (`image_uris`); the packages are
those that the images' published Dockerfiles install, with what these require; the dates are those of AWS's
framework support policy. 2.6.0 is the last line that serves a handler by the inference toolkit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from hotfire.errors import ImageError

ALTERNATIVES = (
    "Name an image of your own by `image:`; AWS's maintained line for PyTorch is its Ray Serve image, where "
    "the same handler serves by `serving: ray`."
)
"""What one can do about an image line that gets no more security patches."""

_ACCOUNT, _ACCOUNT_OF_CHINA = "763104351884", "727897471807"

_REGIONS_OF_ACCOUNT = (
    *("ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ca-central-1"),
    *("eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1"),
    *("us-east-1", "us-east-2", "us-west-1", "us-west-2"),
)

ACCOUNTS = {
    **dict.fromkeys(_REGIONS_OF_ACCOUNT, _ACCOUNT),
    **dict.fromkeys(("cn-north-1", "cn-northwest-1"), _ACCOUNT_OF_CHINA),
    "af-south-1": "626614931356",
    "ap-east-1": "871362719292",
    "ap-east-2": "975050140332",
    "ap-northeast-3": "364406365360",
    "ap-south-2": "772153158452",
    "ap-southeast-3": "907027046896",
    "ap-southeast-4": "457447274322",
    "ap-southeast-5": "550225433462",
    "ap-southeast-6": "633930458069",
    "ap-southeast-7": "590183813437",
    "ca-west-1": "204538143572",
    "eu-central-2": "380420809688",
    "eu-south-1": "692866216735",
    "eu-south-2": "503227376785",
    "il-central-1": "780543022126",
    "me-central-1": "914824155844",
    "me-south-1": "217643126080",
    "mx-central-1": "637423239942",
    "us-gov-east-1": "446045086412",
    "us-gov-west-1": "442386744353",
}
"""The account that holds the images, by AWS region."""

_BASIC = frozenset(
    {
        *("torch", "torchvision", "numpy", "scipy", "pandas", "scikit-learn", "pillow", "opencv-python"),
        *("boto3", "botocore", "s3transfer", "jmespath", "awscli", "requests", "urllib3", "certifi", "idna"),
        *("packaging", "pyyaml", "psutil", "captum", "matplotlib", "h5py", "cython", "ipython", "parso"),
        *("joblib", "python-dateutil", "pytz", "six", "retrying", "typing-extensions", "cryptography"),
        *("future", "setuptools", "pip", "wheel"),
        *("torchserve", "torch-model-archiver", "sagemaker-inference", "sagemaker-pytorch-inference"),
    }
)
_SINCE_1_12 = _BASIC | {"torchaudio", "torchdata", "charset-normalizer", "threadpoolctl"}
_SINCE_2_0 = _SINCE_1_12 | {"torchtext", "sympy", "mpmath", "networkx", "jinja2", "markupsafe", "filelock"}
_SINCE_2_3 = _SINCE_2_0 | {"fsspec", "tqdm", "pyopenssl"}


@dataclass(frozen=True, slots=True)
class ImageLine:
    """One version of the PyTorch inference images.

    `pythons` are its tags, the preferred one first; `packages` the names on PyPI that it is known to carry;
    `patched_until` the day of AWS's last security patches, None if that is past and no longer listed; `arm`
    the tag of the image for Graviton, where there is one.
    """

    version: str
    pythons: tuple[str, ...]
    packages: frozenset[str]
    patched_until: date | None = None
    arm: str | None = None

    @property
    def torch(self) -> str:
        """Its torch, which names the line."""
        return self.version

    @property
    def python(self) -> str:
        """The version of its Python, such as `3.12`."""
        digits = self.pythons[-1].removeprefix("py")
        return f"{digits[0]}.{digits[1:]}"

    def is_patched(self, today: date) -> bool:
        """Whether it still gets security patches."""
        return self.patched_until is not None and today <= self.patched_until


@dataclass(frozen=True, slots=True)
class OwnLine(ImageLine):
    """What an image of one's own carries; its owner patches it."""

    def is_patched(self, today: date) -> bool:
        """It is as new as its last build."""
        return True


_PY36 = ("py3", "py36")
_PY38, _PY39, _PY310, _PY311, _PY312 = ("py38",), ("py39",), ("py310",), ("py311",), ("py312",)

LINES = (
    ImageLine("1.4.0", _PY36, _BASIC),
    ImageLine("1.5.0", _PY36, _BASIC),
    ImageLine("1.6.0", _PY36, _BASIC),
    ImageLine("1.7.1", _PY36, _BASIC),
    ImageLine("1.8.0", _PY36, _BASIC),
    ImageLine("1.8.1", _PY36, _BASIC),
    ImageLine("1.9.0", _PY38, _BASIC),
    ImageLine("1.9.1", _PY38, _BASIC),
    ImageLine("1.10.0", _PY38, _BASIC),
    ImageLine("1.10.2", _PY38, _BASIC),
    ImageLine("1.11.0", _PY38, _BASIC),
    ImageLine("1.12.0", _PY38, _SINCE_1_12, date(2023, 7, 1)),
    ImageLine("1.12.1", _PY38, _SINCE_1_12, date(2023, 7, 1), "graviton:ubuntu20.04"),
    ImageLine("1.13.1", _PY39, _SINCE_1_12, date(2024, 10, 28)),
    ImageLine("2.0.0", _PY310, _SINCE_2_0, date(2024, 3, 15), "graviton:ubuntu20.04"),
    ImageLine("2.0.1", _PY310, _SINCE_2_0, date(2024, 3, 15), "graviton:ubuntu20.04"),
    ImageLine("2.1.0", _PY310, _SINCE_2_0, date(2024, 10, 4), "graviton:ubuntu20.04"),
    ImageLine("2.2.0", _PY310, _SINCE_2_0, date(2025, 1, 30)),
    ImageLine("2.3.0", _PY311, _SINCE_2_3, date(2025, 4, 24), "graviton:ubuntu20.04"),
    ImageLine("2.4.0", _PY311, _SINCE_2_3, date(2025, 7, 24), "graviton:ubuntu22.04"),
    ImageLine("2.5.1", _PY311, _SINCE_2_3, date(2025, 11, 24), "arm64:ubuntu22.04"),
    ImageLine("2.6.0", _PY312, _SINCE_2_3, date(2026, 6, 30), "arm64:ubuntu22.04"),
)
"""Every line, the oldest first."""

DEFAULT = LINES[-1]

_OF_RAY = frozenset(
    {
        *("torch", "torchvision", "torchaudio", "torchcodec", "transformers", "tokenizers", "safetensors"),
        *("huggingface-hub", "numpy", "scipy", "pandas", "scikit-learn", "joblib", "threadpoolctl", "pillow"),
        *("opencv-python", "soundfile", "boto3", "botocore", "s3transfer", "jmespath", "awscli", "requests"),
        *("urllib3", "certifi", "idna", "charset-normalizer", "httpx", "aiohttp", "fastapi", "starlette"),
        *("uvicorn", "pydantic", "ray", "msgpack", "packaging", "pyyaml", "jinja2", "markupsafe", "filelock"),
        *("fsspec", "tqdm", "regex", "sympy", "mpmath", "networkx", "typing-extensions", "python-dateutil"),
        *("six", "psutil", "retrying", "protobuf", "click", "jsonschema", "cffi", "pip"),
        *("sagemaker-inference", "sagemaker-pytorch-inference"),
    }
)
RAY = ImageLine("2.10.0", ("py313",), _OF_RAY, date(2027, 2, 18))
"""The Ray Serve image for SageMaker, by its torch, with what `serving: ray` has it install."""

_RAY_TAG = "serve-ml-sagemaker-{}-v1"
_PUBLIC = "public.ecr.aws/deep-learning-containers"

_ARM_FAMILY = re.compile(r"[cmrtx]\d+g[a-z]*")


def image_uri(
    *,
    region: str,
    instance_type: str,
    framework_version: str | None = None,
    py_version: str | None = None,
    serverless: bool = False,
) -> str:
    """The address of the image for an instance type of a region; the newest line, if no version is given.

    Versions may be short (`2.6` is 2.6.0). Raises ImageError for what there is no image of, with the nearest
    that there is; its `key` is the one of config.yml that asks for it.
    """
    line = image_line(framework_version, py_version)
    python = py_version or line.pythons[0]
    account = _account(region)
    repository, tag = _repository(line, instance_type, python, serverless=serverless)
    return f"{account}.dkr.ecr.{region}.{_domain(region)}/{repository}:{tag}"


def ray_uri(*, region: str, instance_type: str, public: bool = False) -> str:
    """The address of the Ray Serve image for an instance type; empty is one without GPUs.

    A `public` one can be pulled by anybody, and by SageMaker not at all. Raises ImageError.
    """
    group = family(instance_type)
    if group.startswith(("inf", "trn", "dl")) or _ARM_FAMILY.fullmatch(group):
        message = f"the Ray Serve image does not run on {instance_type}"
        advice = "It is for AMD's and Intel's processors and NVIDIA's GPUs: take such a type, or an `image:`."
        raise ImageError(message, advice, key="instance_type")
    tag = _RAY_TAG.format("cuda" if is_gpu(instance_type) else "cpu")
    if public:
        return f"{_PUBLIC}/ray:{tag}"
    return f"{_account(region)}.dkr.ecr.{region}.{_domain(region)}/ray:{tag}"


def image_line(framework_version: str | None = None, py_version: str | None = None) -> ImageLine:
    """The line of a version, short or whole; the newest if none is given. Raises ImageError."""
    if framework_version is None:
        fitting = [line for line in LINES if py_version in (None, *line.pythons)]
        if not fitting:
            known = ", ".join(dict.fromkeys(python for line in LINES for python in line.pythons))
            message = f"there is no PyTorch inference image with py_version {py_version!r}"
            raise ImageError(message, f"The images have {known}.", key="py_version")
        return fitting[-1]
    line = _by_version(framework_version)
    if py_version not in (None, *line.pythons):
        message = f"the PyTorch inference image {line.version} has no py_version {py_version!r}"
        advice = f"It has {' and '.join(line.pythons)}; leave py_version out to take it."
        raise ImageError(message, advice, key="py_version")
    return line


def line_of_uri(uri: str) -> ImageLine | None:
    """The line of an image by its address; None if it is none of AWS's that serve PyTorch models."""
    if re.fullmatch(r".*/ray:serve-ml-sagemaker-(?:cpu|cuda)(?:-v1[0-9.]*)?", uri):
        return RAY
    match = re.fullmatch(r".*/pytorch-inference(?:-graviton|-arm64)?:(\d+\.\d+(?:\.\d+)?)-.*", uri)
    try:
        return _by_version(match[1]) if match else None
    except ImageError:
        return None


def arm_uri(uri: str) -> str | None:
    """The image for ARM of the same line as one for x86 processors; None if there is none."""
    pattern = r"(.*/)pytorch-inference:(\d+\.\d+\.\d+)-cpu-(py\d+)(-.*)?"
    match, line = re.fullmatch(pattern, uri), line_of_uri(uri)
    if match is None or line is None or line.arm is None:
        return None
    repository, tag = _arm_repository(line, "", match[3])
    return f"{match[1]}{repository}:{tag}"


def is_gpu(instance_type: str) -> bool:
    """Whether it has NVIDIA GPUs, by its family."""
    return re.match(r"(g|p)\d", family(instance_type)) is not None


def is_arm(instance_type: str) -> bool:
    """Whether its processors are Graviton, by its family."""
    return _ARM_FAMILY.fullmatch(family(instance_type)) is not None


def family(instance_type: str) -> str:
    """`m5` of `ml.m5.large`."""
    return instance_type.removeprefix("ml.").partition(".")[0]


def _by_version(version: str) -> ImageLine:
    fitting = [line for line in LINES if line.version == version or line.version.startswith(f"{version}.")]
    if fitting:
        return fitting[-1]
    near = _nearest(version, (line.version for line in LINES))
    message = f"there is no PyTorch inference image of framework_version {version!r}"
    newest = "the newest" if near == DEFAULT.version else f"the newest is {DEFAULT.version}"
    advice = f"The nearest is {near}, {newest}; or name an image by `image:`."
    raise ImageError(message, advice, key="framework_version")


def _account(region: str) -> str:
    if region in ACCOUNTS:
        return ACCOUNTS[region]
    from difflib import get_close_matches

    near = get_close_matches(region, ACCOUNTS, n=1, cutoff=0.0)[0]
    message = f"no AWS region {region!r} is known to hold AWS's images for PyTorch models"
    advice = f"The nearest known is {near!r}; else name the image by `image:`."
    raise ImageError(message, advice, key="region")


def _domain(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def _repository(line: ImageLine, kind: str, python: str, *, serverless: bool) -> tuple[str, str]:
    """The repository and the tag in it."""
    group = "" if serverless else family(kind)
    if group.startswith(("inf", "trn", "dl")):
        message = f"the PyTorch inference images do not run on {kind}, whose chips are AWS's own or Habana's"
        raise ImageError(message, "Name an image for it by `image:`.", key="instance_type")
    if _ARM_FAMILY.fullmatch(group):
        return _arm_repository(line, kind, python)
    if group == "p2" and _numbers(line.version) >= (1, 13):
        message = f"the PyTorch inference images since 1.13 do not run on {kind}"
        raise ImageError(message, "ml.g4dn.xlarge is the nearest that they run on.", key="instance_type")
    processor = "gpu" if group and is_gpu(kind) else "cpu"
    return "pytorch-inference", f"{line.version}-{processor}-{python}"


def _arm_repository(line: ImageLine, kind: str, python: str) -> tuple[str, str]:
    if line.arm is None:
        having = [one.version for one in LINES if one.arm]
        message = f"there is no PyTorch inference image {line.version} for {kind}, a Graviton processor"
        advice = f"The nearest framework_version with one is {_nearest(line.version, having)}."
        raise ImageError(message, advice, key="framework_version")
    name, _, system = line.arm.partition(":")
    return f"pytorch-inference-{name}", f"{line.version}-cpu-{python}-{system}-sagemaker"


def _nearest(version: str, known: Iterable[str]) -> str:
    """The known version that is least far away, as numbers; of two, the newer."""
    wanted = _numbers(version)

    def distance(other: str) -> tuple[int, ...]:
        return tuple(abs(a - b) for a, b in zip(_filled(wanted), _filled(_numbers(other)), strict=True))

    return min(reversed(list(known)), key=distance)


def _filled(numbers: tuple[int, ...]) -> tuple[int, ...]:
    return (*numbers, 0, 0, 0)[:3]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(digits) for digits in re.findall(r"\d+", version))
