"""Data sets as plain uint8 arrays: Ms. Pac-Man from the game itself, and the readers for recorded
files."""

from .cache import cache_folder
from .cifar import load_cifar10
from .clips import Clips, cut_clips, motion, to_float, to_uint8
from .games import load_games
from .images import Images
from .pacman import load_pacman
from .recorded import read_clips

__all__ = ["Clips", "Images", "cache_folder", "cut_clips", "load_cifar10", "load_games",
           "load_pacman", "motion", "read_clips",
           "to_float", "to_uint8"]
