"""What a program writes beside its pictures: its numbers as JSON, with the machine and the versions that made them."""

import json
import os
import platform
from importlib.metadata import version

from .files import replacing


def environment():
    """The machine and the versions of what ran: a dict for results.json."""
    versions = {name: version(name) for name in ("ldf_np", "numpy", "scipy")}
    return {"machine": {"system": platform.platform(), "processor": _processor(), "cpus": os.cpu_count()},
            "versions": {"python": platform.python_version()} | versions}


def _processor():
    """The processor's name: from /proc/cpuinfo where there is one, else what Python knows."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def save_json(path, results):
    """Write ``results`` as JSON (to a temporary name, then renamed)."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(results, file, indent=2)
        file.write("\n")
