"""One full bottom step (encoder, decoder, discriminator, Roth penalty by double backpropagation, both Adam updates)
of the small networks at batch 64 on one thread, against the same step in PyTorch where it is installed.

    python benchmarks/step.py [--steps 20] [--json FILE]

The two take turns within one run and the ratio of their medians is printed: these figures mean something only
together. PyTorch runs in its default memory layout (NCHW), eagerly, as a user would write it.
"""

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import importlib.util
import json
import statistics
import time

import numpy as np

import ldf_np as ldf
from ldf_np import nets

BATCH, SLOPE = 64, 0.1


def ldf_step(x):
    """A function that takes one step of this library."""
    ldf.set_num_threads(1)
    model = nets.small_ali()
    return lambda: model.step(x)


def torch_step(x):
    """A function that takes the same step in PyTorch, written as its users write it."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.set_num_threads(1)
    torch.manual_seed(0)

    def down(norm):
        layers = []
        for a, b in ((3, 24), (24, 48), (48, 96)):
            normalization = [nn.BatchNorm2d(b)] if norm else []
            layers += [nn.Conv2d(a, b, 4, 2, 1, bias=not norm), *normalization, nn.LeakyReLU(SLOPE)]
        return layers

    def up(a, b):
        return [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.LeakyReLU(SLOPE)]

    encoder = nn.Sequential(*down(True), nn.Conv2d(96, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32, affine=False))
    encoder_head = nn.Sequential(nn.LeakyReLU(SLOPE), nn.Flatten(), nn.Linear(512, 64, bias=False),
                                 nn.BatchNorm1d(64, affine=False))
    decoder_head = nn.Sequential(nn.Linear(64, 512, bias=False), nn.BatchNorm1d(512), nn.LeakyReLU(SLOPE),
                                 nn.Linear(512, 512, bias=False), nn.Unflatten(1, (32, 4, 4)),
                                 nn.BatchNorm2d(32, affine=False))
    decoder = nn.Sequential(nn.Conv2d(32, 96, 3, 1, 1, bias=False), nn.BatchNorm2d(96), nn.LeakyReLU(SLOPE),
                            *up(96, 48), *up(48, 24), nn.ConvTranspose2d(24, 3, 4, 2, 1), nn.Tanh())
    critic_x = nn.Sequential(*down(False), nn.Flatten(), nn.Linear(1536, 256), nn.LeakyReLU(SLOPE))
    critic_z = nn.Sequential(nn.Linear(64, 256), nn.LeakyReLU(SLOPE))
    joint = nn.Sequential(nn.Linear(512, 256), nn.LeakyReLU(SLOPE), nn.Linear(256, 1))

    def parameters(*modules):
        return [p for module in modules for p in module.parameters()]

    d_parameters = parameters(critic_x, critic_z, joint)
    d_adam = torch.optim.Adam(d_parameters, 2e-4, (0.5, 0.99))
    g_adam = torch.optim.Adam(parameters(encoder, encoder_head, decoder_head, decoder), 3e-4, (0.5, 0.99))

    def critic(x, z):
        return joint(torch.cat([critic_x(x), critic_z(z)], 1))

    images = torch.tensor(x.transpose(0, 3, 1, 2).copy())

    def step():
        z = torch.randn(BATCH, 64)
        h = encoder(images)
        z_hat = encoder_head(h)
        x_tilde = decoder(decoder_head(z))

        xs = torch.cat([images, x_tilde.detach()]).requires_grad_()
        zs = torch.cat([z_hat.detach(), z]).requires_grad_()
        logits = critic(xs, zs)
        gx, gz = torch.autograd.grad(logits.sum(), (xs, zs), create_graph=True)
        norms = gx.flatten(1).square().sum(1) + gz.square().sum(1)
        real, fake = logits[:BATCH], logits[BATCH:]
        weights = torch.cat([torch.sigmoid(-real), torch.sigmoid(fake)])[:, 0].square()
        d_loss = F.softplus(-real).mean() + F.softplus(fake).mean() + 0.5 * (weights * norms).mean()
        d_adam.zero_grad()
        d_loss.backward()

        for p in d_parameters:
            p.requires_grad_(False)
        g_loss = (F.softplus(critic(images, z_hat)).mean() + F.softplus(-critic(x_tilde, z)).mean()
                  + 100 * F.mse_loss(decoder(h), images) + 5 * F.mse_loss(decoder(decoder_head(z_hat)), images))
        g_adam.zero_grad()
        g_loss.backward()
        d_adam.step()
        g_adam.step()
        for p in d_parameters:
            p.requires_grad_(True)
        return d_loss.item(), g_loss.item()

    return step


def alternate(functions, steps, warm_up=3):
    """The median time of each function in ms, the functions taking turns."""
    times = [[] for _ in functions]
    for k in range(warm_up + steps):
        for function, record in zip(functions, times):
            start = time.perf_counter()
            function()
            if k >= warm_up:
                record.append((time.perf_counter() - start) * 1e3)
    return [statistics.median(record) for record in times]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20, help="timed steps of each (default 20)")
    parser.add_argument("--json", metavar="FILE", help="also write the result to this file")
    options = parser.parse_args()
    if options.steps < 1:
        parser.error(f"--steps: expected a positive number, got {options.steps}")

    x = np.random.default_rng(0).uniform(-1, 1, (BATCH, 32, 32, 3)).astype(np.float32)
    with_torch = importlib.util.find_spec("torch") is not None
    medians = alternate([ldf_step(x), torch_step(x)] if with_torch else [ldf_step(x)], options.steps)
    result = {"ratio": None, "ldf_ms": medians[0], "torch_ms": None, "threads": 1}
    print(f"ldf_np   {medians[0]:8.1f} ms")
    if with_torch:
        result |= {"ratio": medians[0] / medians[1], "torch_ms": medians[1]}
        print(f"PyTorch  {medians[1]:8.1f} ms\nratio    {result['ratio']:8.2f}")
    else:
        print("PyTorch is not installed: nothing to compare with")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(result, file)


if __name__ == "__main__":
    main()
