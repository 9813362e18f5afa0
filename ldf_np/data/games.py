"""Ten Atari games as ten classes of real colour images of 32 x 32, where CIFAR-10 is absent."""

import math
from functools import partial

import numpy as np

from ..runtime.checks import checked
from .cache import cached, check_rows, in_folder
from .clips import at_least, evenly, fit_memory, open_progress
from .images import CLASSES, SHAPE, SIZE, Images
from .pacman import STEPS_PER_FRAME, open_game

# Of the games that ale-py carries, ten that differ in colours and shapes and fill their screens.
GAMES = ("bank_heist", "enduro", "freeway", "frostbite", "kangaroo", "ms_pacman", "pitfall",
         "qbert", "riverraid", "up_n_down")
WINDOW = 128  # rows and columns of the screen's 210 x 160 that become an image
AVERAGE = WINDOW // SIZE  # screen pixels in a row of one image pixel
START = (30, 90)  # frames before the first image of a game, least and most
EVERY = 3  # frames from one image to the next
HOLD = (2, 16)  # frames that the walk keeps an action, least and most
MIN_DEVIATION = 8.0  # of an image's values around their mean colour; below, it is nearly one colour
IMAGES_PER_RECORDING = 100
TRIES = 10  # places looked at per image wanted before a game is called empty
ARRAYS = ("train", "train_labels", "test", "test_labels")


@checked(fit_memory(SHAPE, "train", "test"), train=at_least(1), test=at_least(0), seed=at_least(0),
         cache=in_folder)
def load_games(train=10000, test=2000, seed=0, cache=None, progress=False):
    """Real images of ten classes: screens of ten Atari 2600 games, from the cache or from the
    games.

    Parameters
    ----------
    train, test : int
        How many to train on and to hold out, spread evenly over the classes, in random order. The
        held-out ones come from games of their own, which do not depend on ``train``.
    seed : int
        One seed, one data set.
    cache : path, None or False
        The folder to keep the data set in (default: cache_folder()); False to keep nothing.
    progress : bool or function
        True for a progress bar, or a function called as progress(images_done, images_in_all).

    Notes
    -----
    Each game is played by a random walk over the actions it knows, which leaves out the first
    seconds of a game. From every third frame a window of 128 x 128 at a random place is taken,
    averaged over 4 x 4 pixels, unless nearly all of it is one colour. Returns Images. ImportError
    when the data set is not cached and ale-py is missing; ValueError for wrong numbers.
    """
    settings = {
        "name": "games", "games": list(GAMES), "train": int(train), "test": int(test),
        "seed": int(seed), "window": WINDOW, "size": SIZE, "steps_per_frame": STEPS_PER_FRAME,
        "start": list(START), "every": EVERY, "hold_frames": list(HOLD),
        "min_deviation": MIN_DEVIATION, "images_per_recording": IMAGES_PER_RECORDING,
    }
    arrays = cached(cache, f"games_{train}_{test}_seed{seed}.npz", ARRAYS, {"settings": settings},
                    partial(check_rows, shape=SHAPE, labels="labels"),
                    (train + test) * (math.prod(SHAPE) + 8), lambda: make_games(settings, progress))
    return Images(**arrays, classes=GAMES, settings=settings)


def make_games(settings, progress):
    """Play all the games: the arrays of Images. See load_games."""
    report, close = open_progress(progress, settings["train"] + settings["test"],
                                  "playing ten games", "image")
    try:
        games, arrays, done = [open_game(name) for name in GAMES], {}, 0
        for part, split in enumerate(("train", "test")):
            count = settings[split]
            # Chance of its own for the order, and below for each recording: none depends on what
            # came before it.
            order = stream(settings["seed"], part, CLASSES, 0).permutation(count)
            images, labels = np.empty((count, *SHAPE), np.uint8), np.empty(count, np.int64)
            for label, n in enumerate(evenly(count, CLASSES)):
                for k, start in enumerate(range(0, n, IMAGES_PER_RECORDING)):
                    here = order[done:done + min(IMAGES_PER_RECORDING, n - start)]
                    rng = stream(settings["seed"], part, label, k)
                    images[here], labels[here] = record(games[label], len(here), rng), label
                    done += len(here)
                    report(part * settings["train"] + done)
            arrays[split], arrays[f"{split}_labels"], done = images, labels, 0
    finally:
        close()
    return arrays


def stream(*numbers):
    """The Generator of these numbers, four of them: SeedSequence takes fewer as if zeros
    followed."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(numbers)))


def record(game, count, rng):
    """`count` images of a random walk, over as many games played as it takes: uint8 (count, 32, 32,
    3)."""
    actions = game.getMinimalActionSet()
    images, kept = np.empty((count, *SHAPE), np.uint8), 0
    over = True
    for _ in range(count * EVERY * TRIES + START[1]):
        if over:
            game.reset_game()
            hold, wait = 0, rng.integers(*START)
        if hold == 0:
            action, hold = actions[rng.integers(len(actions))], rng.integers(HOLD[0], HOLD[1] + 1)
        game.act(action)
        hold, wait, over = hold - 1, wait - 1, game.game_over()
        if wait <= 0 and not over:
            wait = EVERY
            images[kept] = cut_image(game.getScreenRGB(), rng)
            kept += images[kept].std(axis=(0, 1)).max() >= MIN_DEVIATION
            if kept == count:
                return images
    raise ValueError(f"only {kept} of {count} images of more than one colour were found")


def cut_image(screen, rng):
    """A window at a random place of a screen, uint8 (h, w, 3), averaged over 4 x 4 pixels -> uint8
    (32, 32, 3)."""
    i, j = (rng.integers(0, length - WINDOW + 1) for length in screen.shape[:2])
    rows = screen[i:i + WINDOW, j:j + WINDOW].reshape(
        SIZE, AVERAGE, WINDOW, 3).sum(axis=1, dtype=np.uint16)
    total = rows.reshape(SIZE, SIZE, AVERAGE, 3).sum(axis=2, dtype=np.uint16)
    return ((total + AVERAGE**2 // 2) // AVERAGE**2).astype(np.uint8)  # rounded
