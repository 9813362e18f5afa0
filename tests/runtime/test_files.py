"""Files of arrays hold the arrays' elements, however these lie in memory."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from ldf_np import nn
from ldf_np.runtime import files
from ldf_np.runtime.files import load_tensors, save_tensors
from ldf_np.runtime.random import Generator

A = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
# name: (an array that lies so, its elements written out)
LAYOUTS = {
    "C": (A, A.tolist()),
    "Fortran": (np.asfortranarray(A), A.tolist()),
    "transposed": (A.T, [[[12 * k + 4 * j + i for k in range(2)] for j in range(3)]
                         for i in range(4)]),
    "strided": (A[:, ::2], [[[12 * k + 4 * j + i for i in range(4)] for j in (0, 2)]
                            for k in range(2)]),
    "reversed": (A[::-1, :, ::-1], [[[12 * k + 4 * j + i for i in (3, 2, 1, 0)] for j in range(3)]
                                    for k in (1, 0)]),
    "broadcast": (np.broadcast_to(A[:1, :1], (2, 3, 4)), [[[0, 1, 2, 3]] * 3] * 2),
    "big-endian": (A.astype(">f4"), A.tolist()),
    "an integer": (np.array(7), 7),
    "nothing": (np.zeros((0, 3), np.float32), []),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_written_are_the_elements(layout, tmp_path):
    array, wanted = LAYOUTS[layout]
    save_tensors(tmp_path / "a", {"x": array})
    found = load_tensors(tmp_path / "a")[0]["x"]
    assert found.shape == array.shape and found.tolist() == wanted
    np.testing.assert_array_equal(found, load_file(tmp_path / "a")["x"])


def test_weights_that_are_a_view(tmp_path):
    """As in issue reports of other libraries: a transposed weight came back scrambled."""
    rng = Generator(0)
    linear = nn.Linear(3, 2, bias=False, rng=rng)
    linear.weight = nn.Parameter(np.arange(6, dtype=np.float32).reshape(2, 3).T)
    linear.save(tmp_path / "a")
    assert nn.Linear(3, 2, bias=False, rng=rng).load(tmp_path / "a").weight.data.tolist() == [
        [0, 3], [1, 4], [2, 5]]


def test_control_bytes_as_they_lie_are_seen():
    """Negative control: the bytes of a transposed array are not its elements row by row."""
    flat = np.frombuffer(np.asfortranarray(A[0]).tobytes("A"), np.float32)
    assert flat.reshape(3, 4).tolist() != A[0].tolist()


def test_a_name_as_long_as_the_system_takes_is_written(tmp_path):
    for name in ("x" * 240 + ".json", "字" * 80 + ".json"):
        with files.replacing(tmp_path / name) as temporary, open(temporary, "w") as file:
            file.write(name)
        assert (tmp_path / name).read_text() == name
    assert len([*tmp_path.iterdir()]) == 2


def test_what_a_link_leads_to_is_written_and_keeps_its_mode(tmp_path):
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "file", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o600)
    link.symlink_to(target)
    with files.replacing(link) as temporary, open(temporary, "w") as file:
        file.write("new")
    assert link.is_symlink() and target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir() if p != target.parent] == ["link"]


def test_a_folder_is_no_file(tmp_path):
    folder = tmp_path / "there"
    folder.mkdir()
    with pytest.raises(IsADirectoryError, match="there: a folder, expected the path of a file"):
        save_tensors(folder, {"x": A})
    with pytest.raises(FileNotFoundError, match=r"there: a folder \(expected weights"):
        load_tensors(folder)
    assert [*tmp_path.iterdir()] == [folder] and not [*folder.iterdir()]    # nothing half-written
    save_tensors(folder / "x", {"x": A})                                    # negative control
    assert load_tensors(folder / "x")[0]["x"].tolist() == A.tolist()
