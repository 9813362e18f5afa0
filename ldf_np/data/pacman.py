"""Ms. Pac-Man, the paper's data set, made from the real game: a random walk is recorded and clips
are cut out of it."""

import functools
import math
from functools import partial

import numpy as np

from ..runtime.checks import checked, instance
from .cache import cached, check_rows, in_folder
from .clips import (
    FRAMES,
    ROWS,
    SIZE,
    Clips,
    at_least,
    clip_shape,
    cut_data_set,
    fit_memory,
    min_motion,
)

STEPS_PER_FRAME = 4  # emulator steps, each 1/60 s
READY_FRAMES = 67  # the pause before the game begins
HOLD = (2, 16)  # frames that the walk keeps a direction, least and most
MOST_FRAMES = 1500  # of one episode; few games of a random walk last as long
CLIPS_PER_EPISODE = 400
ARRAYS = ("train", "test", "train_episode", "test_episode")
PLACES = ("train_place", "test_place")


@checked(fit_memory(None, "clips", "test_clips"),
         clips=at_least(1), test_clips=at_least(0), seed=at_least(0),
         frames=at_least(2, MOST_FRAMES // 10), size=at_least(8, 160), places=instance(bool),
         cache=in_folder)
def load_pacman(clips=20000, test_clips=None, seed=0, cache=None, progress=False, frames=FRAMES,
                size=SIZE, places=False):
    """Clips of Ms. Pac-Man (Atari 2600), from the cache or from the game.

    Parameters
    ----------
    clips, test_clips : int
        How many to train on and to hold out (default: a tenth); about 15 kB each. The held-out ones
        come from games of their own. In a larger data set of the same seed those games are trained
        on: what was trained on one is held against clips of that one, or of another seed.
    seed : int
        One seed, one data set.
    cache : path, None or False
        The folder to keep the data set in (default: cache_folder()); False to keep nothing.
    progress : bool or function
        True for a progress bar, or a function called as progress(clips_done, clips_in_all).
    frames : int
        Of a clip, 2 to 150; 3 kB each.
    size : int
        Rows and columns of a clip, 8 to 160 (the width of the screen).
    places : bool
        Whether to say where each clip was cut, too (``Clips.train_place``). The cache has that in
        a file of its own; where only the clips are there, their games are played again.

    Notes
    -----
    The game is run without sticky actions, four emulator steps a frame, and the screen is taken as
    the console draws it: it shows some ghosts on even steps and others on odd ones, so one clip
    rarely shows all four. Returns Clips, uint8 (n, frames, size, size, 3). ImportError when the
    data set is not cached and ale-py is missing; ValueError for wrong numbers.
    """
    test_clips = math.ceil(clips / 10) if test_clips is None else test_clips
    settings = {
        "game": "ms_pacman",
        "clips": int(clips),
        "test_clips": int(test_clips),
        "frames": int(frames),
        "size": int(size),
        "rows": ROWS,
        "min_motion": min_motion(frames),
        "steps_per_frame": STEPS_PER_FRAME,
        "sticky_actions": 0.0,
        "ready_frames": READY_FRAMES,
        "hold_frames": list(HOLD),
        "most_frames": MOST_FRAMES,
        "clips_per_episode": CLIPS_PER_EPISODE,
    }
    shape = clip_shape(settings)
    other = "".join(f"_{name}{settings[name]}" for name, usual in (("frames", FRAMES),
                                                                  ("size", SIZE))
                    if settings[name] != usual)
    stem, facts = (f"ms_pacman_{clips}_{test_clips}_seed{seed}{other}",
                   {"seed": int(seed), "settings": settings})
    make = functools.cache(lambda: vars(make_pacman(settings, int(seed), progress)))
    arrays = cached(cache, f"{stem}.npz", ARRAYS, facts,
                    partial(check_rows, shape=shape, labels="episode"),
                    (clips + test_clips) * (math.prod(shape) + 4), make)
    if places:
        arrays |= cached(cache, f"{stem}_places.npz", PLACES, facts,
                         partial(check_places, clips=clips, test_clips=test_clips),
                         (clips + test_clips) * 12, make)
    return Clips(**arrays, seed=int(seed), settings=settings)


def check_places(arrays, clips, test_clips):
    """ValueError unless each clip has a place."""
    for name, count in zip(PLACES, (clips, test_clips), strict=True):
        if arrays[name].shape != (count, 3):
            raise ValueError(f"{name} has shape {arrays[name].shape}, expected {(count, 3)}")


def make_pacman(settings, seed, progress):
    """Play as many games as it takes and cut the clips. See load_pacman; `settings` is kept with
    the clips."""
    game = open_game()
    train, test = (math.ceil(settings[name] / CLIPS_PER_EPISODE)
                   for name in ("clips", "test_clips"))
    names = [f"game {k}" for k in range(train + test)]
    return cut_data_set(lambda k, rng: play(game, rng), names, test, settings, seed, progress,
                        "playing Ms. Pac-Man")


def open_game(name="ms_pacman"):
    """The emulator with this game in it. Everything about it is deterministic: chance comes from
    the player."""
    try:
        from ale_py import ALEInterface, LoggerMode, roms
    except ImportError as error:
        raise ImportError(
            f"{name} is played through ale-py, which is missing: in the checkout, pip install -e "
            '".[demos]"'
        ) from error
    ALEInterface.setLoggerMode(LoggerMode.Error)
    game = ALEInterface()
    game.setInt("random_seed", 0)
    game.setInt("frame_skip", STEPS_PER_FRAME)
    game.setFloat("repeat_action_probability", 0.0)
    game.loadROM(roms.get_rom_path(name))
    return game


def play(game, rng):
    """One game of a random walk: a direction is held for a random number of frames -> uint8 (f,
    171, 160, 3)."""
    from ale_py import Action

    directions = (Action.UP, Action.RIGHT, Action.LEFT, Action.DOWN)
    game.reset_game()
    for _ in range(READY_FRAMES):
        game.act(Action.NOOP)
    frames = []
    hold = 0
    while not game.game_over() and len(frames) < MOST_FRAMES:
        if hold == 0:
            direction = directions[rng.integers(4)]
            hold = rng.integers(HOLD[0], HOLD[1] + 1)
        game.act(direction)
        frames.append(game.getScreenRGB()[:ROWS].copy())
        hold -= 1
    return np.stack(frames)
