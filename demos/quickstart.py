"""Learn to generate clips of Ms. Pac-Man in two minutes: data, model, training and pictures on one
page.

    python demos/quickstart.py          two minutes of training; pictures in out/quickstart
    python demos/quickstart.py 10       ten minutes: sharper
"""

import argparse
import os

import ldf_np as ldf
from ldf_np.data import load_pacman, to_uint8
from ldf_np.experiments.cli import integer_from, positive_float
from ldf_np.experiments.plots import save_clips
from ldf_np.models import nets

parser = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("minutes", type=positive_float, nargs="?", default=2,
                    help="of training (default 2)")
parser.add_argument("--clips", type=integer_from(64), default=5000,
                    help="to train on (default 5000)")
parser.add_argument("--out", default="out/quickstart", help="folder (default out/quickstart)")
options = parser.parse_args()
os.makedirs(options.out, exist_ok=True)

data = load_pacman(options.clips, progress=True)    # data.train: uint8 (n, 5, 32, 32, 3)

# ALI learns the frames, each by itself; a GAN learns which five codes of frames make a clip.
model = nets.clip_ldf(data.train)
model.fit(data.train, minutes=options.minutes, progress=True)

samples = model.sample(16, ldf.Generator(0))        # float32 (16, 5, 32, 32, 3), -1 to 1
real = data.test[:16]                               # of games that the model has not seen
again = model.reconstruct(real)                     # through their codes and back

save_clips(f"{options.out}/samples.png", {"LDF": to_uint8(samples), "real": real})
save_clips(f"{options.out}/reconstructions.png", {"real": real, "again": to_uint8(again)})
print(f"Open {options.out}/samples.png: 16 generated clips of five frames. The maze should stay "
      "the same within a clip while figures move.")
print(f"{options.out}/reconstructions.png: real clips on the left, and what the model makes of "
      "their codes on the right.")
