"""Several processes that train one model as one process would: MPI, which mpirun starts, behind a
small class.

Every process (a *rank*) holds the same weights and takes a shard of the rows of each batch. What
couples the rows is summed over the ranks: gradients, the statistics of batch normalisation, losses.
Random numbers are drawn for all rows by every rank, and each takes its own, so that the result does
not depend on the number of ranks but for rounding. (There is one exception: dropout in JointGAN's
discriminator of single frames, which come in another order.)

MPI is not imported, and nothing is waited for, until ``start`` is called in a process that mpirun
has started.
"""

import os
import pickle
import socket
import sys
import time
import traceback
from contextlib import contextmanager

import numpy as np

from ..kernels import cuda
from .device import array_module, asarray, to_numpy
from .recording import again

# How the launchers tell a process how many there are: Open MPI, MPICH and Intel MPI.
SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")


class World:
    """The ranks of a training: here one process, which need not tell anybody anything.

    ``rank`` of ``size``; ``log``: {what: [calls, bytes, seconds]} of all that this rank has given
    to the others.
    """

    rank, size = 0, 1

    def __init__(self):
        self.log = {}

    def sum(self, array, what="other"):
        """The sum of an array over all ranks, the same to the last bit on each."""
        return array

    def gather(self, array, what="codes"):
        """The arrays (n_r, ...) of all ranks, one after the other: (sum of n_r, ...)."""
        return array

    def from_rank(self, root, make, what="other"):
        """``make()`` as rank ``root`` has it: its result, or its exception."""
        return make()

    def from_first(self, make):
        """``make()`` as rank 0 has it."""
        return self.from_rank(0, make)

    def split(self, colour):
        """The World of those ranks that give the same ``colour``, an int or a bool."""
        return World()

    def any(self, flag):
        """Whether the flag is set on any rank."""
        return bool(self.sum(np.array(bool(flag), np.float64), "control"))

    def first(self, number):
        """Rank 0's number."""
        return float(self.sum(np.array(number if self.rank == 0 else 0.0), "control"))

    def barrier(self):
        """Wait until all ranks are here."""

    def abort(self, why):
        """End all ranks at once, saying which one and ``why``."""
        sys.exit(why)


class _Alone(World):
    def __init__(self, rank, size):
        super().__init__()
        self.rank, self.size = rank, size

    def sum(self, array, what="other"):
        return array * self.size


class MPIWorld(World):
    """The ranks that mpirun has started, or those of another communicator of mpi4py's."""

    def __init__(self, comm):
        super().__init__()
        self._comm, self.rank, self.size, self._nccl = comm, comm.Get_rank(), comm.Get_size(), None

    @contextmanager
    def _logged(self, what, count):
        start = time.perf_counter()
        yield
        entry = self.log.setdefault(what, [0, 0, 0.0])
        for k, value in enumerate((1, count, time.perf_counter() - start)):
            entry[k] += value

    @again
    def sum(self, array, what="other"):
        from mpi4py import MPI

        with self._logged(what, array.nbytes):
            if array_module(array) is not np and self._communicator():
                return cuda.nccl_sum(self._nccl, array)
            host = np.ascontiguousarray(to_numpy(array))
            total = np.empty_like(host)
            self._comm.Allreduce(host, total, MPI.SUM)
            total = total.reshape(array.shape)
            return total if array_module(array) is np else asarray(total)

    def _communicator(self):
        """CuPy's communicator over NCCL, made at the first call; False where ranks share a device
        or CuPy has no NCCL: then sums go through the host.

        The ranks find one another at an address of their own, not over MPI, which CuPy only uses
        for all processes that mpirun has started. Where they are on several machines, the name of
        rank 0's has to be known to the others. Written after the source of CuPy 14; the tests run
        it with a stand-in for CuPy, and it has not run on several GPUs.
        """
        if self._nccl is None:
            devices = self._comm.allgather(cuda.nccl_device())
            if None in devices or len(set(devices)) < self.size:
                self._nccl = False
            else:
                local = len({machine for machine, _ in devices}) == 1
                host, port = self.from_first(lambda: _free_address(local))
                self._nccl = cuda.nccl_communicator(self.size, self.rank, host, port)
        return self._nccl

    def gather(self, array, what="codes"):
        with self._logged(what, array.nbytes):
            lengths = self._comm.allgather(len(array))
            array = np.ascontiguousarray(array)
            out = np.empty((sum(lengths), *array.shape[1:]), array.dtype)
            row = array.dtype.itemsize * int(np.prod(array.shape[1:]))
            kind = _bytes(row)
            self._comm.Allgatherv([array, len(array), kind], [out, lengths, None, kind])
            kind.Free()
            return out

    def from_rank(self, root, make, what="other"):
        made = None
        if self.rank == root:
            try:
                made = make(), None
            except Exception as raised:
                made = None, raised
            made = pickle.dumps(made, pickle.HIGHEST_PROTOCOL)
        with self._logged(what, len(made or b"")):
            found, error = pickle.loads(self._comm.bcast(made, root))
        if error is not None:
            raise error
        return found

    def split(self, colour):
        comm = self._comm.Split(int(colour), self.rank)
        return MPIWorld(comm) if comm.Get_size() > 1 else World()

    def barrier(self):
        self._comm.Barrier()

    def abort(self, why):
        print(f"rank {self.rank} of {self.size}, on {socket.gethostname()}: {why}; all ranks end",
              file=sys.stderr, flush=True)
        self._comm.Abort(1)


def _free_address(local):
    """(host, port) of this machine at which nobody listens; ``local``: no other machine can reach
    it."""
    host = "127.0.0.1" if local else socket.gethostbyname(socket.gethostname())
    with socket.socket() as listener:
        listener.bind((host, 0))
        return host, listener.getsockname()[1]


def _bytes(count):
    """A type of MPI's for rows of ``count`` bytes, so that as many rows can be sent as an int can
    count."""
    from mpi4py import MPI

    return MPI.BYTE.Create_contiguous(count).Commit()


_world = World()
_joined = 1


def world():
    """The World of this process."""
    return _world


def launched():
    """How many processes were started together with this one, itself included, as its environment
    has it."""
    return max(int(os.environ.get(name, 1)) for name in SIZES)


def start():
    """Join the processes that mpirun has started (where it has started one, or none: nothing).
    Returns the World.

    From then on trainings are shared, and an exception that nobody catches ends all ranks. Raises
    ImportError where mpirun has started several processes and mpi4py is not there: each would
    believe itself alone.
    """
    if launched() > 1 and _world.size == 1:
        try:
            from mpi4py import MPI
        except ImportError as error:
            raise ImportError(f"{launched()} processes were started, which need mpi4py ({error}): "
                              'in the checkout, pip install -e ".[mpi]"') from error
        enter(MPIWorld(MPI.COMM_WORLD))

        def ended(kind, error, trace):
            traceback.print_exception(kind, error, trace)
            _world.abort(f"{kind.__name__}: {error}")

        sys.excepthook = ended
    return _world


def enter(new):
    """Make ``new`` this process's World; returns the one before."""
    global _world
    before, _world = _world, new
    return before


@contextmanager
def within(other):
    """A context in which this process's World is ``other``."""
    before = enter(other)
    try:
        yield
    finally:
        enter(before)


def alone():
    """A context in which this rank waits for no other: it takes all of them to be as it is."""
    return within(_Alone(_world.rank, _world.size))


def first_before_others(make):
    """``make()`` on each rank, on rank 0 before the others: what it puts into a cache is there for
    them."""
    if _world.rank > 0:
        _world.barrier()
        return make()
    try:
        return make()
    finally:
        _world.barrier()


def shard(count, name="batch_size"):
    """The slice of ``count`` rows that is this rank's. Raises ValueError, naming ``name``, where
    they do not divide."""
    if count % _world.size:
        raise ValueError(
            f"{name}: expected a multiple of {_world.size}, the number of ranks, got {count}")
    own = count // _world.size
    return slice(_world.rank * own, (_world.rank + 1) * own)


def rows(draw, shape, *more):
    """This rank's rows, of ``shape`` (n, ...), of ``draw((ranks * n, ...), *more)``: the noise of a
    batch, or of several that are ``joined``."""
    count = shape[0] * _world.size
    drawn = draw((count, *shape[1:]), *more)
    if _world.size == 1:
        return drawn
    return drawn.reshape(_joined, -1, *shape[1:])[:, shard(count // _joined)].reshape(shape)


@contextmanager
def joined(count):
    """A context in which a rank's rows are those of ``count`` batches, one after the other."""
    global _joined
    before, _joined = _joined, count
    try:
        yield
    finally:
        _joined = before


def over_ranks(function, x):
    """``function(x)``, an array with a row for each row of x; each rank computes a part, and all
    have all of it."""
    if len(x) < _world.size:
        return function(x)
    bounds = [len(x) * k // _world.size for k in range(_world.size + 1)]
    return _world.gather(function(x[bounds[_world.rank]:bounds[_world.rank + 1]]))
