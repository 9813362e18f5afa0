"""What is said where a Tensor or an operation is used wrongly."""

from contextlib import contextmanager

# Why a Tensor has no history that it might have had, in words
CUT = {
    "grad": "a gradient on the way was taken without create_graph=True, so it has no history: "
            "grad(..., create_graph=True) keeps one",
    "no_grad": "a Tensor on the way was computed inside no_grad(), which keeps no history",
    "detach": "a Tensor on the way was detached from its history by detach()"}

# Names that other libraries' tensors have, and what is in their place
ELSEWHERE = {
    "backward": "ldf_np.grad(loss, parameters) returns the gradients and stores none",
    "grad": "ldf_np.grad(loss, parameters) returns the gradients and stores none",
    **dict.fromkeys(("requires_grad", "requires_grad_"),
                    "every Tensor can be differentiated with respect to; ldf_np.no_grad() and "
                    "tensor.detach() leave the history out"),
    **dict.fromkeys(("cpu", "cuda", "to"), "ldf_np.use(device) says where new arrays are made, and "
                    "ldf_np.asarray(array) brings one there"),
    **dict.fromkeys(("view", "flatten", "ravel", "squeeze"), "tensor.reshape(shape)"),
    **dict.fromkeys(("argmax", "argmin", "argsort", "tolist", "all", "any", "round"),
                    "it has no gradient: tensor.numpy() is an array, which has it"),
    "dot": "tensor @ other",
    "permute": "tensor.transpose(axes)", "unsqueeze": "tensor[:, None]",
    **dict.fromkeys(("float", "double", "half", "astype", "type"),
                    "ldf_np.autodiff.ops.astype(tensor, dtype=numpy.float64)"),
    **dict.fromkeys(("copy", "clone"), "operations never change a Tensor, so none is needed"),
}


@contextmanager
def named(forward, inputs):
    """A context whose errors name the operation and describe its inputs."""
    try:
        yield
    except Exception as error:
        call = f"{forward.__name__.lstrip('_')}({', '.join(map(_describe, inputs))})"
        if isinstance(error, MemoryError):      # CuPy's is one too
            raise MemoryError(f"{call}: out of memory ({error}): use a smaller batch, or free what "
                              "other programs hold") from error
        if any(isinstance(i, (list, tuple)) and any(hasattr(t, "node") for t in i) for i in inputs):
            raise TypeError(f"{call}: expected Tensors or arrays, got a list of Tensors: "
                            "ldf_np.stack(list) makes one Tensor of them") from error
        for kind in (ValueError, TypeError, IndexError):
            if isinstance(error, kind):
                raise kind(f"{call}: {error}") from error
        if isinstance(error, OverflowError):
            raise ValueError(f"{call}: expected sizes of 64 bits ({error})") from error
        if isinstance(error, AttributeError) and not all(hasattr(i, "dtype") for i in inputs):
            raise TypeError(f"{call}: expected Tensors or arrays") from error
        raise


def _describe(value):
    if hasattr(value, "dtype"):
        return f"{value.dtype}{list(value.shape)}"
    return f"{value!r:.80}"
