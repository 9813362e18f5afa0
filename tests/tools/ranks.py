"""Small trainings, the same in one process and in several: tests/runtime/test_mpi.py runs them both
ways and compares.

    mpirun -n 2 python tests/tools/ranks.py FOLDER WHAT ...

WHAT: names of functions below, each of which gives arrays; rank 0 writes those of WHAT to
FOLDER/WHAT.npz, with the largest difference between the ranks as "difference". WHAT@NAME does so
in FOLDER/NAME. After "unsynchronised" each rank has a batch normalisation of its own, after
"forgetful" checkpoints lack the order of the data.
"""

import os
import random
import signal
import socket
import sys
import threading
import time
import types
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
from helpers import tiny_ali, values

import ldf_np as ldf
from ldf_np import nn
from ldf_np.autodiff import norm
from ldf_np.models import ldf_async, nets
from ldf_np.models.factors import Frames, Groups
from ldf_np.models.ldf import LDF, Level
from ldf_np.models.whitening import Whitening
from ldf_np.runtime import distributed as parallel
from ldf_np.runtime.recording import Recording
from ldf_np.training import checkpoint, step
from ldf_np.training.checkpoint import Checkpoints
from ldf_np.training.player import Player


def ali(folder, steps=6):
    """A stochastic encoder, the Roth penalty, annealing."""
    model = tiny_ali(6, hidden=5, stochastic=True, final_lr=0.1)
    return results(model, model.fit(values(40, 6, dtype=np.float32), steps=steps, batch_size=16))


def places(folder):
    """Batch statistics of its own for what enters the decoder at h."""
    model = nets.place_ali(8, 2, latent_size=4)
    return results(model, model.fit(np.tanh(values(40, 8, 8, 2, dtype=np.float32)), steps=6,
                                    batch_size=10))


def gan(folder):
    model = nets.mlp_gan(7, latent_size=3, hidden=8, seed=10, penalty="wgan-gp")
    return results(model, model.fit(values(40, 7, dtype=np.float32), steps=6, batch_size=16))


def joint(folder):
    """With a second discriminator, of single frames, which looks at another frame in each row of
    the batch; and in the first with dropout, which sees real and generated rows as one batch."""
    rng = ldf.Generator(3)
    generator = nn.Sequential(nn.Linear(3, 12, bias=False, rng=rng), nn.BatchNorm(12),
                              nn.Reshape(2, 2, 3))
    discriminators = [
        nn.Sequential(nn.Flatten(), nn.Linear(4 * c, 8, rng=rng), nn.LeakyReLU(0.1),
                      nn.Dropout(p, rng=rng.spawn(1)[0]), nn.Linear(8, 1, rng=rng))
        for c, p in ((3, 0.3), (1, 0.0))]
    model = ldf.JointGAN(generator, discriminators[0], 3, frames=3,
                         frame_discriminator=discriminators[1])
    return results(model, model.fit(values(40, 3, 2, 2, 1, dtype=np.float32), steps=6,
                                    batch_size=10))


def vae(folder):
    """Its likelihood's variance is the batch's error, so no mean over rows."""
    small = tiny_ali(6, hidden=5, stochastic=True)
    model = ldf.nets.VAE(small.encoder, small.decoder, 2)
    return results(model, model.fit(values(40, 6, dtype=np.float32), steps=6, batch_size=16))


def denoiser(folder):
    model = nets.map_denoiser((2, 2, 3), 8, 8)
    return results(model, model.fit(values(40, 2, 2, 3, dtype=np.float32), steps=6, batch_size=16))


def played(folder):
    """Twelve steps, most of them played; the same where rank 1 cannot trust its recording, so that
    none plays; and taken one by one: how many were played, and what differs."""
    counts = []

    def counted(self, *arguments):
        counts[-1] += 1
        return play(self, *arguments)

    def broken(self):
        begin(self)
        self.stop("a test" if parallel.world().rank else "")

    play, begin, runs = Player._played, Recording.__init__, []
    with patch.object(Player, "_played", counted):
        for change in (patch.object(step, "RECORDINGS", step.RECORDINGS),
                       patch.object(Recording, "__init__", broken)):
            counts.append(0)
            with change:
                runs.append(ali(folder, steps=12))
    with patch.object(step, "RECORDINGS", -1):
        taken = ali(folder, steps=12)
    apart = [name for run in runs for name in run if run[name].tobytes() != taken[name].tobytes()]
    return {"plays": np.array(counts), "apart": np.array(len(apart)), "of": np.array(len(taken))}


def small_ldf():
    bottom = tiny_ali(6, hidden=5, stochastic=True, final_lr=0.1)
    return LDF([Level(bottom, Frames(4))], nets.mlp_gan(7, latent_size=3, hidden=8, seed=10),
               Whitening((4, 5), 7))


def hierarchy(schedule, **settings):
    model = small_ldf()
    histories = model.fit(values(41, 4, 6, dtype=np.float32), bottom_share=0.5, batch_size=16,
                          schedule=schedule, **settings)
    return results(model, *histories.values())


def bottom_first(folder):
    return hierarchy("bottom-first", steps=12)


def together(folder):
    return hierarchy("together", steps=6)


def by_sides(**settings):
    """All ranks but the last, or the last two, train the bottom, those the top."""
    model = small_ldf()
    histories = ldf_async.fit_async(model, values(41, 4, 6, dtype=np.float32), steps=12,
                                    top_steps=18, rounds=3, codes=32, batch_size=16, **settings)
    return results(model, *histories.values())


def asynchronous(folder):
    """With all that rank 0 has given the others."""
    parallel.world().log.clear()
    found = by_sides()
    log = parallel.world().from_first(lambda: parallel.world().log)
    return found | {f"log {what}": np.array(entry[:2]) for what, entry in log.items()}


def by_three_sides(**settings):
    """Frames, pairs of their codes, and the top: a rank for each, or two for the frames."""
    levels = [Level(tiny_ali(6, hidden=5, stochastic=True), Frames(4)),
              Level(tiny_ali(10, hidden=6, seed=5), Groups(2, below=4, code_shape=(5,)))]
    model = LDF(levels, nets.mlp_gan(8, latent_size=3, hidden=8, seed=10), Whitening((2, 6), 8))
    histories = ldf_async.fit_async(model, values(41, 4, 6, dtype=np.float32), steps=[12, 15],
                                    top_steps=18, rounds=3, codes=32, batch_size=16, **settings)
    return results(model, *histories.values())


def three_sides(folder):
    return by_three_sides()


def three_sides_resumed(folder):
    return by_three_sides(checkpoints=Checkpoints(folder / "run"))


def three_sides_die(folder):
    """The rank between the others is killed in its second round."""
    with ends_at(7, signal.SIGKILL, parallel.world().size - 2):
        return by_three_sides(checkpoints=Checkpoints(folder / "run"))


def three_sides_stopped(folder):
    """The rank that ends the folder's name is told to end after its sixth step."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ends_at(6, signal.SIGTERM, int(folder.name.split()[-1])):
        return by_three_sides(checkpoints=Checkpoints(folder / "run"))


def asynchronous_resumed(folder):
    return by_sides(checkpoints=Checkpoints(folder / "run"))


def asynchronous_by_two(folder):
    """Two ranks train the top, the others the bottom."""
    return by_sides(checkpoints=Checkpoints(folder / "run"), top_ranks=2)


def asynchronous_dies(folder):
    """The last rank, which trains the top, is killed in its second round; checkpoints are those of
    the rounds."""
    with ends_at(10, signal.SIGKILL, parallel.world().size - 1):
        return by_sides(checkpoints=Checkpoints(folder / "run"))


def asynchronous_stopped(folder):
    """The rank that ends the folder's name, or all of them, are told to end after their fifth
    step."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    who = folder.name.split()[-1]
    with ends_at(5, signal.SIGTERM, parallel.world().rank if who == "all" else int(who)):
        return by_sides(checkpoints=Checkpoints(folder / "run"))


def asynchronous_killed(folder):
    """Some rank is killed some time after its training began."""
    chance = random.Random(os.environ["MOMENT"])
    who, when = chance.randrange(parallel.world().size), chance.uniform(0, 0.4)
    if parallel.world().rank == who:
        threading.Timer(when, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return by_sides(checkpoints=Checkpoints(folder / "run", every=0))


@contextmanager
def ends_at(last, number, rank):
    """A context in which a rank of one of the asynchronous levels gets a signal after a step."""
    def callback(history):
        if history.steps == last and hit:
            os.kill(os.getpid(), number)

    hit = parallel.world().rank == rank
    with patch.object(ldf_async, "train", partial(ldf_async.train, callback=callback)):
        yield


def resumed(folder):
    """What a checkpoint in the folder has begun."""
    return hierarchy("bottom-first", steps=40, checkpoints=Checkpoints(folder / "run", every=0))


def dies(folder):
    """The last rank is killed in its seventh step."""
    def kill(history):
        if history.steps == 7 and parallel.world().rank == parallel.world().size - 1:
            os.kill(os.getpid(), signal.SIGKILL)

    return hierarchy("bottom-first", steps=40, checkpoints=Checkpoints(folder / "run", every=0),
                     callback=kill)


def raises(folder):
    """Rank 1 has an error of its own."""
    if parallel.world().rank == 1:
        raise ValueError("this rank has had enough")
    return ali(folder)


def normalized(folder):
    """The normalisation's result and its first and second derivatives, in float64."""
    x, g, h = (ldf.Tensor(values(12, 3, seed=k)[parallel.shard(12)]) for k in range(3))
    y, mean, var = norm.normalize(x)
    first = ldf.grad(y, x, g, create_graph=True)
    second = ldf.grad(first, [x, g], h, allow_unused=True)
    scale, shift = (ldf.Tensor(values(3, seed=k)) for k in (3, 4))
    z, _, _ = norm.batch_norm(x, scale, shift)
    of_x, of_scale = ldf.grad((z * g).sum(), [x, scale], create_graph=True)
    *more, twice = ldf.grad((of_x * h).sum() + (of_scale * shift).sum(), [x, g, scale])
    rows, world = (y, first, *second, z, of_x, *more), parallel.world()
    return {"mean": mean, "var": var} | {
        f"rows {k}": world.gather(a.data) for k, a in enumerate(rows)} | {
        f"sum {k}": world.sum(a.data) for k, a in enumerate((of_scale, twice))}


def on_devices(folder):
    """Sums of arrays on a device, by CuPy's communicator: a stand-in, whose ranks find one another
    as CuPy's do. Then of ranks that share a device, and go through the host."""
    from mpi4py import MPI

    class Communicator:
        made = []

        def __init__(self, size, rank, host, port):
            self.made.append((size, rank, host, port))
            if rank == 0:
                with socket.create_server((host, port)) as server:
                    self.others = [server.accept() for _ in range(size - 1)]
            for _ in range(100 * (rank > 0)):
                try:
                    self.first = socket.create_connection((host, port), 10)
                    break
                except ConnectionRefusedError:      # rank 0 does not listen yet
                    time.sleep(0.05)

        def all_reduce(self, array, out):
            MPI.COMM_WORLD.Allreduce(array.host, out.host)

        def stop(self):
            self.others = self.first = None

    class Array:
        __module__ = "cupy"
        nbytes = property(lambda self: self.host.nbytes)
        shape = property(lambda self: self.host.shape)

        def __init__(self, host):
            self.host = host

    world, bus = parallel.world(), [str(parallel.world().rank)]
    cupy, distributed = types.ModuleType("cupy"), types.ModuleType("cupyx.distributed")
    cupy.asnumpy, cupy.ascontiguousarray = (lambda array: array.host), (lambda array: array)
    cupy.empty_like = lambda array: Array(np.empty_like(array.host))
    cupy.cuda = types.SimpleNamespace(nccl=types.SimpleNamespace(available=True),
                                      Device=lambda: types.SimpleNamespace(pci_bus_id=bus[0]))
    distributed.init_process_group = Communicator
    x = values(4, 3, seed=world.rank)
    with patch.dict(sys.modules, {"cupy": cupy, "cupyx": types.ModuleType("cupyx"),
                                  "cupyx.distributed": distributed}):
        part = world.split(True)        # other ranks, another communicator
        sums = [w.sum(Array(x)).host for w in (world, world, part)]
        bus[0] = "shared"
        through_host = world.split(True).sum(Array(x))
    assert [made[:3] for made in Communicator.made] == [(world.size, world.rank, "127.0.0.1")] * 2
    return {"sums": np.stack(sums), "through host": through_host,
            "ports": np.array([made[3] for made in Communicator.made])}


def results(model, *histories):
    losses = {f"{k} {name}": np.array(v) for k, history in enumerate(histories)
              for name, v in history.losses.items()}
    return model.state_dict() | losses


def compute(what, folder):
    """The arrays of WHAT, and how far apart those of the ranks are."""
    ldf.use("cpu")
    found = globals()[what](folder)
    flat = np.concatenate([np.ravel(a).astype(np.float64) for a in found.values()])
    of_all = parallel.world().gather(flat[None])
    return found | {"difference": np.abs(of_all - of_all[0]).max()}


def main(folder, *names):
    parallel.start()
    for name in names:
        if name == "unsynchronised":
            norm.world = parallel.World
        elif name == "forgetful":
            parts = checkpoint._parts
            checkpoint._parts = lambda state: (
                {k: v for k, v in parts(state)[0].items() if k != "order"}, parts(state)[1])
        else:
            what, _, inside = name.partition("@")
            place = Path(folder, inside)
            found = compute(what, place)
            if parallel.world().rank == 0:
                place.mkdir(exist_ok=True)
                np.savez(place / f"{what}.npz", **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
