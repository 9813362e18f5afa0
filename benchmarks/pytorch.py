"""The training steps of this library's small networks in PyTorch, written as its users write them:
what is compared with."""

import torch
from torch import nn
from torch.nn import functional as F

SLOPE = 0.1


def bottom_step(batch, device="cpu", capturable=False):
    """step(images) -> (D's loss, the autoencoder's): one step of ALI as in ``nets.small_ali``,
    images (batch, 3, 32, 32).

    ``capturable``: Adam keeps its count on the device, as torch.cuda.graph asks.
    """
    torch.manual_seed(0)

    def down(norm):
        layers = []
        for a, b in ((3, 24), (24, 48), (48, 96)):
            normalization = [nn.BatchNorm2d(b)] if norm else []
            layers += [nn.Conv2d(a, b, 4, 2, 1, bias=not norm), *normalization, nn.LeakyReLU(SLOPE)]
        return layers

    def up(a, b):
        return [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b),
                nn.LeakyReLU(SLOPE)]

    encoder = nn.Sequential(*down(True), nn.Conv2d(96, 32, 3, 1, 1, bias=False),
                            nn.BatchNorm2d(32, affine=False))
    encoder_head = nn.Sequential(nn.LeakyReLU(SLOPE), nn.Flatten(), nn.Linear(512, 64, bias=False),
                                 nn.BatchNorm1d(64, affine=False))
    decoder_head = nn.Sequential(nn.Linear(64, 512, bias=False), nn.BatchNorm1d(512),
                                 nn.LeakyReLU(SLOPE), nn.Linear(512, 512, bias=False),
                                 nn.Unflatten(1, (32, 4, 4)), nn.BatchNorm2d(32, affine=False))
    decoder = nn.Sequential(nn.Conv2d(32, 96, 3, 1, 1, bias=False), nn.BatchNorm2d(96),
                            nn.LeakyReLU(SLOPE), *up(96, 48), *up(48, 24),
                            nn.ConvTranspose2d(24, 3, 4, 2, 1), nn.Tanh())
    discriminator_x = nn.Sequential(*down(False), nn.Flatten(), nn.Linear(1536, 256),
                                    nn.LeakyReLU(SLOPE))
    discriminator_z = nn.Sequential(nn.Linear(64, 256), nn.LeakyReLU(SLOPE))
    joint = nn.Sequential(nn.Linear(512, 256), nn.LeakyReLU(SLOPE), nn.Linear(256, 1))
    d_parameters, d_adam = _adam(4e-4, capturable, device, discriminator_x, discriminator_z, joint)
    _, g_adam = _adam(2e-3, capturable, device, encoder, encoder_head, decoder_head, decoder)

    def discriminator(x, z):
        return joint(torch.cat([discriminator_x(x), discriminator_z(z)], 1))

    def step(images):
        z = torch.randn(batch, 64, device=device)
        h = encoder(images)
        z_hat = encoder_head(h)
        x_tilde = decoder(decoder_head(z))

        xs = torch.cat([images, x_tilde.detach()]).requires_grad_()
        zs = torch.cat([z_hat.detach(), z]).requires_grad_()
        d_loss = _discriminator_loss(discriminator(xs, zs), (xs, zs), batch)

        def generator_loss():
            return (F.softplus(discriminator(images, z_hat)).mean()
                    + F.softplus(-discriminator(x_tilde, z)).mean()
                    + 1000 * F.mse_loss(decoder(h), images)
                    + 100 * F.mse_loss(decoder(decoder_head(z_hat)), images))

        return _simultaneous(d_loss, d_parameters, d_adam, generator_loss, g_adam)

    return step


def top_step(batch, size, device="cpu", capturable=False):
    """step(codes) -> (D's loss, G's): one step of the GAN on vectors (batch, size) as in
    ``nets.mlp_gan``, with its moving average of weights."""
    torch.manual_seed(0)

    def linear(a, b):
        return [nn.Linear(a, b, bias=False), nn.BatchNorm1d(b), nn.LeakyReLU(SLOPE)]

    generator = nn.Sequential(*linear(128, 512), *linear(512, 512), nn.Linear(512, size))
    discriminator = nn.Sequential(nn.Linear(size, 512), nn.LeakyReLU(SLOPE), nn.Linear(512, 512),
                           nn.LeakyReLU(SLOPE), nn.Linear(512, 1))
    d_parameters, d_adam = _adam(1e-3, capturable, device, discriminator)
    g_parameters, g_adam = _adam(5e-4, capturable, device, generator)
    average = [p.detach().clone() for p in g_parameters]

    def step(codes):
        fake = generator(torch.randn(batch, 128, device=device))
        xs = torch.cat([codes, fake.detach()]).requires_grad_()
        d_loss = _discriminator_loss(discriminator(xs), (xs,), batch)
        losses = _simultaneous(d_loss, d_parameters, d_adam,
                               lambda: F.softplus(-discriminator(fake)).mean(), g_adam)
        with torch.no_grad():
            torch._foreach_lerp_(average, [p.detach() for p in g_parameters], 0.002)
        return losses

    return step


def _adam(lr, capturable, device, *modules):
    """(the modules' parameters on the device, Adam over them)."""
    parameters = [p for module in modules for p in module.to(device).parameters()]
    return parameters, torch.optim.Adam(parameters, lr, (0.5, 0.99), capturable=capturable)


def _simultaneous(d_loss, d_parameters, d_adam, generator_loss, g_adam):
    """Both sides' gradients at one point, then both updates; the losses."""
    d_adam.zero_grad()
    d_loss.backward()
    for p in d_parameters:
        p.requires_grad_(False)
    g_loss = generator_loss()
    g_adam.zero_grad()
    g_loss.backward()
    d_adam.step()
    g_adam.step()
    for p in d_parameters:
        p.requires_grad_(True)
    return d_loss.detach(), g_loss.detach()


def _discriminator_loss(logits, inputs, batch):
    """The discriminator's loss with Roth's regularizer, gamma = 1/2; the first half of the batch is
    real."""
    grads = torch.autograd.grad(logits.sum(), inputs, create_graph=True)
    norms = sum(g.flatten(1).square().sum(1) for g in grads)
    real, fake = logits[:batch], logits[batch:]
    weights = torch.cat([torch.sigmoid(-real), torch.sigmoid(fake)])[:, 0].square()
    return F.softplus(-real).mean() + F.softplus(fake).mean() + 0.25 * 2 * (weights * norms).mean()
