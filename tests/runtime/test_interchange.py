"""Arrays from and for other libraries (DLPack), and one clear sentence for each way in which CUDA
can be missing."""

import subprocess
import sys
import types

import numpy as np
import pytest

import ldf_np as ldf
from ldf_np.kernels import cuda
from ldf_np.runtime import device as backend


class Foreign:
    """An array of another library, as DLPack shows it."""

    def __init__(self, array, device=(1, 0)):
        self.array, self.device = array, device

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.device


def test_an_array_of_another_library_is_taken_without_a_copy():
    array = np.arange(6.0).reshape(2, 3)
    tensor = ldf.Tensor(Foreign(array))
    assert np.shares_memory(tensor.data, array) and tensor.dtype == np.float64
    assert not np.shares_memory(ldf.Tensor(Foreign(array.copy())).data, array)      # a control
    assert ldf.Tensor(Foreign(np.arange(3))).dtype == np.float32         # integers, as elsewhere
    with pytest.raises(TypeError,
                       match="on the CPU or a CUDA device, got Foreign on DLPack device 8"):
        ldf.Tensor(Foreign(array, (8, 0)))


def test_a_tensor_is_given_without_a_copy():
    tensor = ldf.Tensor(np.ones((2, 3), np.float32))
    array = np.from_dlpack(tensor)
    assert np.shares_memory(array, tensor.data) and tensor.__dlpack_device__() == (1, 0)
    with pytest.raises(TypeError, match="history is not given away.*detach"):
        np.from_dlpack(tensor * 2)
    np.testing.assert_array_equal(np.from_dlpack((tensor * 2).detach()), 2 * array)


@pytest.mark.cuda
def test_a_tensor_on_the_device_goes_to_and_from_pytorch():
    torch = pytest.importorskip("torch")
    ldf.use("cuda")
    tensor = ldf.Tensor(ldf.asarray(np.ones((2, 3), np.float32)))
    there = torch.from_dlpack(tensor)
    there += 1
    np.testing.assert_array_equal(tensor.numpy(), np.full((2, 3), 2))
    assert ldf.Tensor(there).data.data.ptr == tensor.data.data.ptr


# --------------------------------------------------------------------------------- what is missing

class RuntimeFault(RuntimeError):
    pass


class Array(np.ndarray):
    def get(self):
        return self


def fake_cupy(devices=0, driver=13000, built=13000, fault=None, use_fault=None, capability="90"):
    """A CuPy whose first calls fail as the real one's do."""
    def count():
        if fault:
            raise RuntimeFault(fault)
        return devices

    def zeros(*_):
        if use_fault:
            raise RuntimeFault(use_fault)
        return np.zeros(1).view(Array)

    runtime = types.SimpleNamespace(getDeviceCount=count, setDevice=lambda number: None,
                                    driverGetVersion=lambda: driver,
                                    runtimeGetVersion=lambda: built)
    device = types.SimpleNamespace(compute_capability=capability)
    return types.SimpleNamespace(zeros=zeros, cuda=types.SimpleNamespace(
        runtime=runtime, Device=lambda: device))


FAULTS = {
    "no device":
    (fake_cupy(), "found no CUDA device: check that nvidia-smi lists one, or use the CPU"),
    "no driver": (fake_cupy(driver=0, fault="cudaErrorInsufficientDriver"),
                  "found no NVIDIA driver .*InsufficientDriver.*: install one"),
    "an old driver": (fake_cupy(driver=12020, fault="cudaErrorInsufficientDriver"),
                      r'driver knows CUDA 12, but this CuPy is for CUDA 13 .*: update the driver, '
                      r'or take the other CuPy, in the checkout, by pip install -e "\.\[cuda12\]"'),
    "a broken device": (fake_cupy(devices=1, use_fault="cudaErrorUnknown"),
                        "no usable CUDA device .*cudaErrorUnknown.*nvidia-smi"),
    "no compiler": (fake_cupy(devices=1, use_fault="libnvrtc.so.12 not found"),
                    r'libnvrtc.*its compiler is there, in the checkout by pip install -e '
                    r'"\.\[cuda13\]"'),
    "an old card": (fake_cupy(devices=1, capability="75"),
                    r"capability 8\.0 and above \(Ampere, 2020\), this one has 7\.5: use the CPU"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_cuda_that_cannot_be_used(name, monkeypatch, capsys):
    cupy, sentence = FAULTS[name]
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(RuntimeError, match=sentence):
        ldf.use("cuda")
    assert ldf.device() == "cpu"
    backend._say_once.cache_clear()
    monkeypatch.setattr(backend, "card_present", lambda: False)
    assert ldf.use("auto") == "cpu" and capsys.readouterr().err == ""      # no card, nothing to say
    monkeypatch.setattr(backend, "card_present", lambda: True)
    assert ldf.use("auto") == ldf.use("auto") == "cpu"
    said = capsys.readouterr().err
    assert said.startswith("ldf_np runs on NumPy: ") and said.count("\n") == 1         # once


def test_cupy_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(RuntimeError,
                       match=r'the CUDA backend needs CuPy \(.*\): in the checkout, pip install '
                             r'-e "\.\[cuda12\]" or'):
        cuda.load_cupy()


def test_out_of_memory_names_the_operation():
    def hungry(x):
        raise MemoryError("Out of memory allocating 8 bytes")

    with pytest.raises(MemoryError,
                       match=r"hungry\(float64\[2\]\): out of memory \(Out of memory allocating 8 "
                             r"bytes\): use a smaller batch"):
        ldf.engine.operation(hungry)(ldf.Tensor(np.ones(2)))


def test_arrays_too_large_for_the_kernels_are_refused():
    with pytest.raises(ValueError,
                       match="too large for the CUDA kernels, which count elements in 32 bits"):
        ldf.kernels.conv._fitting([(0, 2 ** 31, 0, 1)])


def test_the_precision_has_pytorchs_names():
    assert ldf.get_float32_matmul_precision() == "highest"
    with pytest.raises(ValueError,
                       match="precision: expected \"highest\" or \"high\", got 'medium'"):
        ldf.set_float32_matmul_precision("medium")


def test_import_and_use_do_not_load_cupy():
    source = ("import sys, ldf_np; ldf_np.use('cpu'); ldf_np.Tensor([1.0]); "
              "assert 'cupy' not in sys.modules")
    subprocess.run([sys.executable, "-c", source], check=True)
