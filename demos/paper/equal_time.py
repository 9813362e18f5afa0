"""At equal time, are LDF's clips of Ms. Pac-Man nearer to real ones than the joint GAN's (Section
5.3), and does their background stay (Section 5.2)?

    python demos/paper/equal_time.py                both models, 8 minutes each, with three seeds
    python demos/paper/equal_time.py --minutes 2 --train-clips 2000

Started twice, it trains both models at the same moment, each on a core of its own:

    taskset -c 0 python demos/paper/equal_time.py --minutes 25 &
    taskset -c 1 python demos/paper/equal_time.py --minutes 25; wait

The models, their training and the options are those of demos/pacman.py; scores get intervals over
seeds, and claims their verdicts.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))

import pacman

from ldf_np.experiments import cli


def parse(arguments=None):
    return pacman.parse(arguments, __doc__, out="out/equal_time")


run = pacman.run

if __name__ == "__main__":
    cli.main(run, parse(), ranks=True)
