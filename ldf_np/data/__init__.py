"""Data sets as plain uint8 arrays: Ms. Pac-Man from the game itself, and the readers for recorded
files; and text as one-hot characters."""

from .cache import cache_folder
from .cifar import load_cifar10
from .clips import Clips, cut_clips, motion, to_float, to_uint8
from .games import load_games
from .images import Images
from .pacman import load_pacman
from .recorded import read_clips
from .text import Texts, load_text, one_hot, to_strings

__all__ = ["Clips", "Images", "Texts", "cache_folder", "cut_clips", "load_cifar10", "load_games",
           "load_pacman", "load_text", "motion", "one_hot", "read_clips", "to_float", "to_strings",
           "to_uint8"]
