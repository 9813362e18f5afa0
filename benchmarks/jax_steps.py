"""A training step of this library's models in JAX, compiled by jit, as a careful user writes it:
what is compared with.

The networks are ours as functions of our weights, images (n, h, w, c). The generator has a pass of
its own through the discriminator; what both have in common XLA may share. A step's state is given
away to the next (donated).
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.nn import softplus

from ldf_np.models.nets import LEAST_ENERGY


def conv(x, w, stride, padding):
    """A convolution in the form that takes XLA the least time on a CPU, forwards and backwards.

    A stride of s becomes one of 1: each s x s pixels are channels of one (s divides the kernel).
    Then, and for 1x1 kernels, it is one matrix product of columns (im2col).
    """
    (kh, kw, c, o), (sh, sw), pads = w.shape, stride, [(p, p) for p in padding]
    if (sh, sw) == (1, 1) != (kh, kw):
        return lax.conv_general_dilated(x, w, stride, pads,
                                        dimension_numbers=("NHWC", "HWIO", "NHWC"))
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    n, h, v, _ = x.shape
    x = x.reshape(n, h // sh, sh, v // sw, sw, c).transpose(0, 1, 3, 2, 4, 5)
    x = x.reshape(n, h // sh, v // sw, sh * sw * c)
    a, b = kh // sh, kw // sw           # the kernel on these
    rows, places = h // sh - a + 1, v // sw - b + 1
    columns = [x[:, i:i + rows, j:j + places] for i in range(a) for j in range(b)]
    w = w.reshape(a, sh, b, sw, c, o).transpose(0, 2, 1, 3, 4, 5)
    return jnp.concatenate(columns, axis=-1) @ w.reshape(-1, o)


def apply(module, parameters, running, x):
    """(y, running statistics): the network ``module`` with these ``parameters`` and ``running``
    statistics, lists in its own order."""
    parameters, running, moved = iter(parameters), iter(running), []

    def with_bias(layer, y):
        return y if layer.bias is None else y + next(parameters)

    def batch_norm(layer, x):
        axes = tuple(range(x.ndim - 1))
        mean, var = x.mean(axes), x.var(axes)
        n = x.size // x.shape[-1]
        moved.extend(old + layer.momentum * (new - old)
                     for new, old in zip((mean, var * (n / (n - 1))), running))
        x = (x - mean) * lax.rsqrt(var + layer.eps)
        return x if layer.weight is None else x * next(parameters) + next(parameters)

    def transposed(layer, x):
        w, size = next(parameters), [
            (n - 1) * s - 2 * p + k for n, s, p, k in zip(
                x.shape[1:3], layer.stride, layer.padding, layer.weight.shape)]
        shape = jax.ShapeDtypeStruct((len(x), *size, w.shape[2]), x.dtype)
        adjoint = jax.linear_transpose(lambda y: conv(y, w, layer.stride, layer.padding), shape)
        return with_bias(layer, *adjoint(x))

    def with_energies(layer, x):
        energies = jnp.log(jnp.square(x).mean((1, 2)) + LEAST_ENERGY)
        return jnp.concatenate([through(layer.network, x), energies], axis=-1)

    def through(module, x):
        for layer in _layers(module):
            x = rules[type(layer).__name__](layer, x)
        return x

    rules = {
        "Linear": lambda layer, x: with_bias(layer, x @ next(parameters)),
        "Conv2d": lambda layer, x: with_bias(
            layer, conv(x, next(parameters), layer.stride, layer.padding)),
        "ConvTranspose2d": transposed, "BatchNorm": batch_norm,
        "LeakyReLU": lambda layer, x: jnp.where(x > 0, x, layer.slope * x),
        "Tanh": lambda layer, x: jnp.tanh(x),
        "Flatten": lambda layer, x: x.reshape(len(x), -1),
        "Reshape": lambda layer, x: x.reshape(len(x), *layer.shape),
        "WithEnergies": with_energies}
    return through(module, x), moved


def _layers(module):
    if type(module).__name__ != "Sequential":
        return [module]
    return [layer for part in module.layers for layer in _layers(part)]


class Step:
    """One step of a model that has not been trained yet, a GAN or an ALI: ``take(state, x, z)`` ->
    (state, {name: loss}), to be compiled. ``start()`` gives the first state."""

    def __init__(self, model):
        self.model, self.is_ali = model, hasattr(model, "encoder")
        if self.is_ali:
            self.judges = [model.discriminator.x_net, model.discriminator.z_net,
                           model.discriminator.joint]
            self.makers = [model.encoder.body, model.encoder.head, model.decoder.head,
                           model.decoder.body, model.mapping]
        else:
            self.judges, self.makers = [model.discriminator], [model.generator]

    def start(self):
        def arrays(named):
            return [jnp.array(held.data) for held in named]

        d, g = ([arrays(part.parameters()) for part in parts]
                for parts in (self.judges, self.makers))
        running = [arrays(b for _, b in part.named_buffers()) for part in self.makers]
        zeros = partial(jax.tree.map, jnp.zeros_like)
        state = {"D": (d, zeros(d), zeros(d)), "G": (g, zeros(g), zeros(g)), "running": running,
                 "t": jnp.zeros((), jnp.int32)}
        if not self.is_ali:
            state["average"] = jax.tree.map(jnp.copy, (g, running))
        return state

    def take(self, state, x, z):
        model, (d, *d_moments), (g, *g_moments) = self.model, state["D"], state["G"]
        (_, (losses, real, fake, running)), g_grads = jax.value_and_grad(
            self._generator_loss, has_aux=True)(g, d, state["running"], x, z)
        (_, losses["D"]), d_grads = jax.value_and_grad(
            self._discriminator_loss, has_aux=True)(d, real, fake)
        t = state["t"] + 1
        new = {"D": adam(model.discriminator_optimizer, d, d_grads, *d_moments, t),
               "G": adam(model.generator_optimizer, g, g_grads, *g_moments, t),
               "running": running, "t": t}
        if not self.is_ali:
            rate = 1 - jnp.minimum(model.ema.decay, t / (9 + t))
            new["average"] = jax.tree.map(lambda a, live: a + rate * (live - a), state["average"],
                                          (new["G"][0], running))
        return new, losses

    def _logits(self, d, x, z=None):
        if z is None:
            return self._judge(0, d, x)
        pair = [self._judge(0, d, x), self._judge(1, d, z)]
        return self._judge(2, d, jnp.concatenate(pair, axis=-1))

    def _judge(self, k, d, x):
        return apply(self.judges[k], d[k], [], x)[0]

    def _generator_loss(self, g, d, running, x, z):
        running = list(running)

        def make(k, x):
            x, running[k] = apply(self.makers[k], g[k], running[k], x)
            return x

        if not self.is_ali:
            real, fake = (x,), (make(0, z),)
            game = softplus(-self._logits(d, *fake)).mean()
            return game, ({"G": game}, real, fake, running)
        h, z = make(0, x), make(4, z)
        real, fake = (x, make(1, h)), (make(3, make(2, z)), z)
        game = softplus(self._logits(d, *real)).mean() + softplus(-self._logits(d, *fake)).mean()
        rec_h = jnp.square(make(3, h) - x).mean()
        rec_z = jnp.square(make(3, make(2, real[1])) - x).mean()
        total = game + self.model.shortcut_weight * rec_h + self.model.latent_weight * rec_z
        return total, ({"GE": game, "rec_h": rec_h, "rec_z": rec_z}, real, fake, running)

    def _discriminator_loss(self, d, real, fake):
        """With the unweighted penalty, and without it; real and fake in one pass."""
        def summed(both):
            logits = self._logits(d, *both)
            return logits.sum(), logits

        both = [jnp.concatenate(pair) for pair in zip(real, fake)]
        (_, logits), grads = jax.value_and_grad(summed, has_aux=True)(both)
        on_real, on_fake = jnp.split(logits, 2)
        loss = softplus(-on_real).mean() + softplus(on_fake).mean()
        # both halves have as many rows: the sum of their means
        penalty = sum(jnp.square(g).sum() for g in grads) / len(on_real)
        return loss + 0.5 * self.model.gamma * penalty, loss


def adam(own, parameters, grads, m, v, t):
    """(parameters, m, v) after a step with the settings of our Adam ``own``."""
    b1, b2 = own.betas
    m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, m, grads)
    v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, v, grads)
    rate, scale = own.lr / (1 - b1 ** t), (1 - b2 ** t) ** -0.5
    return jax.tree.map(lambda p, m, v: p - rate * m / (scale * jnp.sqrt(v) + own.eps),
                        parameters, m, v), m, v


def prepare(model, x, threads):
    """(step, state): ``step(z)`` takes a step on the batch x and returns {name: loss}; ``state()``
    what came of it. The number of ``threads`` is in XLA_FLAGS."""
    jax.config.update("jax_enable_x64", x.dtype == np.float64)
    step = Step(model)
    compiled, x, held = jax.jit(step.take, donate_argnums=0), jnp.array(x), step.start()

    def take(z):
        nonlocal held
        held, losses = compiled(held, x, z)
        return {name: float(loss) for name, loss in losses.items()}

    def state():
        found = {}
        for side, own in (("D", model.discriminator_optimizer), ("G", model.generator_optimizer)):
            (weights, m, _), b1 = held[side], own.betas[0]
            found |= {f"gradients of {side}": _flat(jax.tree.map(lambda m: m / (1 - b1), m)),
                      f"weights of {side}": [np.concatenate(_flat(weights))]}
        if not step.is_ali:
            found["average"] = [np.concatenate(_flat(held["average"]))]
        return found

    return take, state


def _flat(tree):
    return [np.asarray(array).ravel() for array in jax.tree.leaves(tree)]
