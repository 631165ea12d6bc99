"""Which package on PyPI an imported module comes from."""

from __future__ import annotations

import re

OTHERWISE_NAMED = {
    "absl": "absl-py",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "Bio": "biopython",
    "cairosvg": "CairoSVG",
    "clip": "openai-clip",
    "cv2": "opencv-python",
    "Crypto": "pycryptodome",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "PyMuPDF",
    "git": "GitPython",
    "google.protobuf": "protobuf",
    "Levenshtein": "python-Levenshtein",
    "jose": "python-jose",
    "jwt": "PyJWT",
    "kafka": "kafka-python",
    "magic": "python-magic",
    "MeCab": "mecab-python3",
    "mpl_toolkits": "matplotlib",
    "mysql": "mysql-connector-python",
    "MySQLdb": "mysqlclient",
    "nacl": "PyNaCl",
    "OpenSSL": "pyOpenSSL",
    "osgeo": "GDAL",
    "PIL": "pillow",
    "pkg_resources": "setuptools",
    "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary",
    "pylab": "matplotlib",
    "pynvml": "nvidia-ml-py",
    "rest_framework": "djangorestframework",
    "ruamel": "ruamel.yaml",
    "sagemaker_inference": "sagemaker-inference",
    "sagemaker_pytorch_serving_container": "sagemaker-pytorch-inference",
    "sentence_transformers": "sentence-transformers",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "sksparse": "scikit-sparse",
    "slugify": "python-slugify",
    "socks": "PySocks",
    "tensorflow_hub": "tensorflow-hub",
    "tensorflow_text": "tensorflow-text",
    "torch_geometric": "torch-geometric",
    "ts": "torchserve",
    "typing_extensions": "typing-extensions",
    "usb": "pyusb",
    "umap": "umap-learn",
    "wx": "wxPython",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}
"""Modules whose package has another name, as one writes it in requirements.txt."""

ALSO_PROVIDED_BY = {
    "cv2": ("opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "faiss": ("faiss-gpu", "faiss-gpu-cu11", "faiss-gpu-cu12", "faiss"),
    "psycopg2": ("psycopg2",),
    "PIL": ("pillow-simd",),
    "tensorflow": ("tensorflow-cpu", "tensorflow-gpu"),
    "onnxruntime": ("onnxruntime-gpu",),
    "torch": ("torch-cpu",),
    "Crypto": ("pycrypto",),
    "magic": ("python-magic-bin",),
    "jwt": ("python-jwt",),
    "Levenshtein": ("levenshtein",),
    "pynvml": ("pynvml",),
    "sagemaker_inference": ("sagemaker-pytorch-inference",),
    "clip": ("clip", "clip-anytorch"),
    "attrs": ("attrs",),
    "umap": ("umap",),
}
"""Modules that further packages bring, too."""


def distribution_of(module: str) -> str:
    """The package's name as one writes it in requirements.txt; a module is mostly named as its package."""
    top, _, rest = module.partition(".")
    two = f"{top}.{rest.partition('.')[0]}"
    if top == "google" and two.startswith("google.cloud") and rest.count("."):
        return f"google-cloud-{rest.split('.')[1]}"
    return OTHERWISE_NAMED.get(two) or OTHERWISE_NAMED.get(top) or top


def providers_of(module: str) -> frozenset[str]:
    """The normalised names of all packages that bring the module."""
    top = module.partition(".")[0]
    others = ALSO_PROVIDED_BY.get(top, ())
    return frozenset(normalised(name) for name in (distribution_of(module), top, *others))


def normalised(name: str) -> str:
    """A package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
