"""A training step of this library's models in PyTorch, as a careful user writes it: what is
compared with.

The networks are made of ours, layer by layer, with the same weights. Images are (n, c, h, w) in the
channels_last memory format, Adam is fused, and denormal numbers count as zero. The generator has a
pass of its own through the discriminator.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ldf_np import to_numpy
from ldf_np.models.nets import LEAST_ENERGY

# PyTorch's order of the axes of a weight of ours, by their number.
ORDER = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}


class Flatten(nn.Module):
    """Images (n, c, h, w) -> (n, h * w * c). In channels_last nothing is moved."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1).flatten(1)


class Unflatten(nn.Module):
    """The inverse of Flatten."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.view(-1, *self.shape).permute(0, 3, 1, 2)


class BatchNorm(nn.BatchNorm2d):
    """Of vectors, too."""

    def _check_input_dim(self, x):
        pass


class WithEnergies(nn.Module):
    """What a network says of maps, and the log of each channel's mean square."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        energies = (x.square().mean((2, 3)) + LEAST_ENERGY).log()
        return torch.cat([self.network(x), energies], 1)


def images(x, device="cpu"):
    """A tensor of the NumPy array x: of images (n, h, w, c), or as it is."""
    x = torch.tensor(x, device=device)
    return x.permute(0, 3, 1, 2) if x.ndim == 4 else x


def network(module):
    """The same network with the same weights."""
    made = _layer(module)
    for own, other in zip(module.parameters(), made.parameters(), strict=True):
        other.data = torch.tensor(to_numpy(own.data).transpose(ORDER[own.ndim]))
    return made.to(other.dtype)


def _layer(layer):
    kind = type(layer).__name__
    if kind == "Sequential":
        return nn.Sequential(*map(_layer, layer.layers))
    if kind == "Linear":
        return nn.Linear(*layer.weight.shape, bias=layer.bias is not None)
    if kind in ("Conv2d", "ConvTranspose2d"):
        inputs, outputs = layer.weight.shape[2:] if kind == "Conv2d" else layer.weight.shape[:1:-1]
        return getattr(nn, kind)(inputs, outputs, layer.weight.shape[:2], layer.stride,
                                 layer.padding, bias=layer.bias is not None)
    if kind == "BatchNorm":
        return BatchNorm(layer.running_mean.data.size, layer.eps, layer.momentum,
                         affine=layer.weight is not None)
    return {"LeakyReLU": lambda: nn.LeakyReLU(layer.slope), "Tanh": nn.Tanh, "Flatten": Flatten,
            "Reshape": lambda: Unflatten(layer.shape),
            "WithEnergies": lambda: WithEnergies(_layer(layer.network))}[kind]()


class Step:
    """One step of a model that has not been trained yet, a GAN or an ALI: ``take(x, z)`` -> {name:
    loss}, x (n, ...) of ``images``, z (n, latent_size), drawn where it is not given.

    ``capturable``: Adam keeps its count on the device, as torch.cuda.graph asks.
    """

    def __init__(self, model, device="cpu", capturable=False):
        torch.set_flush_denormal(True)
        self.model, self.is_ali = model, hasattr(model, "encoder")
        judges, makers = [model.discriminator], [model.generator_optimizer.network]
        if self.is_ali:
            judges = [model.discriminator.x_net, model.discriminator.z_net,
                      model.discriminator.joint]
            makers = [model.encoder.body, model.encoder.head, model.decoder.head,
                      model.decoder.body, model.mapping]
        self.judges, self.makers = (
            nn.ModuleList(map(network, some)).to(device, memory_format=torch.channels_last)
            for some in (judges, makers))
        self.optimizers = [
            torch.optim.Adam(networks.parameters(), own.lr, own.betas, own.eps, fused=True,
                             capturable=capturable)
            for networks, own in ((self.judges, model.discriminator_optimizer),
                                  (self.makers, model.generator_optimizer))]
        self.live = [*self.makers.parameters(), *(
            b for name, b in self.makers.named_buffers() if "running" in name)]
        self.average, self.updates = [a.detach().clone() for a in self.live], 0

    def take(self, x, z=None):
        if z is None:
            z = torch.randn(len(x), self.model.latent_size, device=x.device)
        real, fake, losses, total = (self._pairs if self.is_ali else self._made)(x, z)
        self.optimizers[0].zero_grad()
        self.optimizers[1].zero_grad()
        losses["D"] = self._discriminator_backward(real, fake)
        self.judges.requires_grad_(False)
        game = F.softplus(-self._logits(*fake)).mean()
        if self.is_ali:
            game = game + F.softplus(self._logits(*real)).mean()
        (game + total).backward()
        self.judges.requires_grad_(True)
        for optimizer in self.optimizers:
            optimizer.step()
        if not self.is_ali:
            self._move_average()
        return losses | {"GE" if self.is_ali else "G": game.detach()}

    def _pairs(self, x, u):
        """ALI's (x, E(x)) and (G(z), z), z = F(u), and the reconstructions' losses."""
        body, head, decoder_head, decoder, mapping = self.makers
        h, z = body(x), mapping(u)
        z_hat, x_tilde = head(h), decoder(decoder_head(z))
        rec_h = F.mse_loss(decoder(h), x)
        rec_z = F.mse_loss(decoder(decoder_head(z_hat)), x)
        total = self.model.shortcut_weight * rec_h + self.model.latent_weight * rec_z
        return (x, z_hat), (x_tilde, z), {"rec_h": rec_h.detach(), "rec_z": rec_z.detach()}, total

    def _made(self, x, z):
        """What a GAN's discriminator judges."""
        return (x,), (self.makers[0](z),), {}, 0.0

    def _logits(self, x, z=None):
        if z is None:
            return self.judges[0](x)
        x_net, z_net, joint = self.judges
        return joint(torch.cat([x_net(x), z_net(z)], 1))

    def _discriminator_backward(self, real, fake):
        """The loss without the penalty, which is differentiated, too; real and fake in one pass."""
        both = [torch.cat(pair).detach().requires_grad_() for pair in zip(real, fake)]
        logits = self._logits(*both)
        grads = torch.autograd.grad(logits.sum(), both, create_graph=True)
        norms = sum(g.square().sum(tuple(range(1, g.ndim))) for g in grads)
        on_real, on_fake = logits.chunk(2)
        if self.model.penalty == "roth":
            norms = norms * torch.cat([(-on_real).sigmoid(), on_fake.sigmoid()])[:, 0].square()
        loss = F.softplus(-on_real).mean() + F.softplus(on_fake).mean()
        # the mean over both halves is half the sum of their means
        (loss + self.model.gamma * norms.mean()).backward()
        return loss.detach()

    def _move_average(self):
        rate = 1 - min(self.model.ema.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        with torch.no_grad():
            torch._foreach_lerp_(self.average, self.live, rate)

    def state(self):
        """What ``step.state`` gives of ours: gradients from Adam's first moments after one step."""
        found = {}
        for side, networks, optimizer in zip("DG", (self.judges, self.makers), self.optimizers):
            weights = [*networks.parameters()]
            b1 = optimizer.param_groups[0]["betas"][0]
            moments = [optimizer.state[p]["exp_avg"] / (1 - b1) for p in weights]
            found |= {f"gradients of {side}": _ours(moments),
                      f"weights of {side}": [np.concatenate(_ours(weights))]}
        if not self.is_ali:
            found["average"] = [np.concatenate(_ours(self.average))]
        return found


def _ours(tensors):
    """As flat arrays, in our order of the axes."""
    return [t.detach().cpu().numpy().transpose(np.argsort(ORDER[t.ndim])).ravel() for t in tensors]


def prepare(model, x, threads):
    """(step, state): ``step(z)`` takes a step on the batch x and returns {name: loss}; ``state()``
    what came of it."""
    torch.set_num_threads(threads)
    step, x = Step(model), images(x)

    def take(z):
        return {name: loss.item() for name, loss in step.take(x, torch.from_numpy(z)).items()}

    return take, step.state
