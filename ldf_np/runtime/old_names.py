"""The names of version 0.1, when all files lay in one folder: ``import ldf_np.nets`` goes on
working.

Each old module is found here as one that looks its names up in the rooms where they live now.
"""

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MODULES = {     # old module: the modules in which its names are now
    "ali": ["models.ali"], "apart": ["models.ldf_async"], "backend": ["runtime.device"],
    "check": ["autodiff.gradcheck"], "checkpoint": ["training.checkpoint"],
    "classifier": ["models.classifier", "models.nets"], "conv": ["autodiff.conv"],
    "engine": ["autodiff.engine"],
    "expect": ["runtime.checks"],
    "experiment": ["experiments.cli", "experiments.runs", "experiments.statistics",
                   "experiments.report", "training.best_weights"],
    "files": ["runtime.files"], "gan": ["models.gan"], "gaussian_curves": ["gaussian.curves"],
    "gaussian_experiments": ["gaussian.experiments"], "gaussian_theory": ["gaussian.theory"],
    "graph": ["training.step"], "guard": ["training.step"],
    "hierarchy": ["models.ldf", "models.factors", "models.whitening", "training.budget"],
    "layers": ["nn.layers", "nn.module", "nn.init"],
    "linear_ldf": ["gaussian.networks"], "losses": ["nn.losses"],
    "metrics": ["experiments.metrics", "experiments.clip_scores", "experiments.statistics"],
    "nets": ["models.nets", "models.baselines"], "norm": ["autodiff.norm"],
    "ops": ["autodiff.ops", "autodiff.elementwise", "nn.losses", "autodiff.norm"],
    "optim": ["nn.optim"],
    "parallel": ["runtime.distributed"], "patch_nets": ["models.image_nets"],
    "penalty": ["nn.penalty"], "plots": ["experiments.plots"], "random": ["runtime.random"],
    "records": ["training.log"], "report": ["experiments.report"],
    "threads": ["runtime.threads"], "vae": ["models.vae"],
    "data.files": ["data.recorded"], "data.shapes": ["data.moving_shapes"],
}
RENAMED = {     # old module: {old name: new name}
    "apart": {"fit_apart": "fit_async"},
    "checkpoint": {"Keeper": "CheckpointWriter"},
    "engine": {"unchanging": "immutable"},
    "experiment": {"Pieces": "CachedRuns", "pieces": "cached_runs", "Tracker": "BestWeights",
                   "positive": "positive_float", "whole": "integer_from"},
    "graph": {"Step": "CompiledStep"},
    "hierarchy": {"LAST_MOMENT": "AFTER_INTERRUPT"},
    "linear_ldf": {"quadratic_critic": "quadratic_discriminator", "Same": "Identity"},
    "parallel": {"share": "shard"},
    "patch_nets": {"RIVAL": "BASELINE"},
}


class OldModule(ModuleType):
    """A module of version 0.1: its names, wherever they are now."""

    def __getattr__(self, name):
        old = self.__name__.removeprefix("ldf_np.")
        wanted = RENAMED.get(old, {}).get(name, name)
        for place in MODULES[old]:
            module = import_module(f"ldf_np.{place}")
            if hasattr(module, wanted):
                return getattr(module, wanted)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __dir__(self):
        modules = [import_module(f"ldf_np.{place}")
                   for place in MODULES[self.__name__.removeprefix("ldf_np.")]]
        return sorted({name for module in modules for name in dir(module)})


class _Finder(MetaPathFinder, Loader):
    def find_spec(self, fullname, path=None, target=None):
        package, _, name = fullname.partition(".")
        return ModuleSpec(fullname, self) if package == "ldf_np" and name in MODULES else None

    def create_module(self, spec):
        return OldModule(spec.name)

    def exec_module(self, module):
        pass


sys.meta_path.append(_Finder())
