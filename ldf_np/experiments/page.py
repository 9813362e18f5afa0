"""Results as a page to look at: index.html beside results.json, and the report of all
experiments."""

import base64
import io
import json
import os
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from ..runtime.files import replacing
from .tables import cell


def embedded(path):
    """A picture as WebP in a data address, and whether it moves: a third of the size, so that the
    page also suits a phone. Plots lose nothing; large sheets of images and animations do."""
    with Image.open(path) as image:
        out, moves = io.BytesIO(), _moves(image)
        image.save(out, "WEBP", save_all=moves, quality=40 if moves else 85,
                   lossless=not moves and os.path.getsize(path) < 300_000)
    address = f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"
    return {"address": address, "moves": moves}


def _moves(image):
    return getattr(image, "n_frames", 1) > 1


def write_page(folder):
    """Write FOLDER/index.html of the results.json there, with the pictures beside it."""
    results = json.loads(Path(folder, "results.json").read_text(encoding="utf-8"))
    for figure in results["figures"]:
        with Image.open(Path(folder, figure["file"])) as image:
            figure |= {"address": quote(figure["file"]), "link": figure["file"],
                       "moves": _moves(image)}
    _write(Path(folder, "index.html"), found={"results": results}, claims=results["claims"],
           wrong={}, minutes=results["seconds"] / 60, report=False, budget=None)


def write_report(path, found, claims, wrong, minutes, budget="short"):
    """Write the report of all experiments as one HTML file: of their ``found`` results, {name:
    results} with ``embedded`` figures, and of those that went ``wrong``, {name: sentence}."""
    _write(path, found=found, claims=claims, wrong=wrong, minutes=minutes, report=True,
           budget=budget)


def counted(claims):
    """How many of each verdict, as text: "3 held, 1 failed, ..."."""
    verdicts = [claim["verdict"] for claim in claims]
    return ", ".join(f"{verdicts.count(kind)} {kind}"
                     for kind in ("held", "failed", "equal", "undecided", "one seed")
                     if kind not in ("equal", "one seed") or kind in verdicts)


def _write(path, claims, **more):
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True,
                            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    templates.filters["cell"] = cell
    page = templates.get_template("page.html").render(claims=claims, counts=counted(claims), **more)
    with replacing(path) as temporary:
        Path(temporary).write_text(page, encoding="utf-8")
