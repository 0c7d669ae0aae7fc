"""A folder of photographs to a CSV of labels: ours, engine by engine, against the loop that people write.

    python benchmarks/pipeline.py                        # makes 200 photographs of noise
    python benchmarks/pipeline.py --folder ~/photographs --batch 8

What `keras-resnets predict FOLDER --out labels.csv` does, without building the network. The loop is the one
of Keras' documentation: load, preprocess, predict and decode one picture at a time.
"""

import contextlib
import csv
import tempfile
from pathlib import Path

import click
import numpy as np
from inference import TURNS, installed
from measuring import measured, table
from networks import build, pictures, randomise
from reporting import report
from worker import Case

NOTES = f"""\
"Alone" is the rate of the network without files: ready arrays, in batches of the same size, for the loop
`model.predict` of one picture. What is above it in time is decoding, resizing and writing.

{TURNS}"""
ALONE = " alone"
LOOP = "Keras, a picture at a time"


def keras_loop(folder: str, batch: int, size: int, alone: bool):
    import keras
    from keras.applications import resnet50
    from keras.src.applications import imagenet_utils

    from keras_resnets.images.labels import imagenet_labels

    # What Keras would download at the first picture.
    imagenet_utils.CLASS_INDEX = {str(number): label for number, label in enumerate(imagenet_labels())}
    model = randomise(build("keras", "ResNet50", size))
    paths, image = _paths(folder), pictures(1, size)

    def answers():
        for path in paths:
            picture = keras.utils.load_img(path, target_size=(size, size))
            ready = resnet50.preprocess_input(keras.utils.img_to_array(picture)[None])
            yield path, resnet50.decode_predictions(model.predict(ready, verbose=0), top=5)[0]

    if alone:
        return lambda: [model.predict(image, verbose=0) for _ in paths]
    return lambda: _write(answers())


def our_predictor(folder: str, batch: int, size: int, alone: bool, engine: str, precision: str):
    from keras_resnets import Predictor

    model = randomise(build("keras_resnets", "ResNet50", size))
    paths, images = _paths(folder), pictures(batch, size)
    if alone and engine == "keras":
        return lambda: [model.predict_on_batch(images) for _ in range(0, len(paths), batch)]
    if alone:
        from keras_resnets.engines import compiled

        run = compiled(model, engine, precision, batch, calibration=pictures(32, size))
        return lambda: [run(images) for _ in range(0, len(paths), batch)]
    calibration = paths[:64] if precision == "int8" else None
    predictor = Predictor(model, batch, engine=engine, precision=precision, calibration=calibration)
    return lambda: _write((answer.source, answer.top) for answer in predictor.predict(paths))


def _paths(folder: str) -> list[Path]:
    from keras_resnets.images.reading import find_images

    return list(find_images([folder]))


def _write(answers) -> None:
    with tempfile.TemporaryFile("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        for path, top in answers:
            rows.writerows((path, rank, *best) for rank, best in enumerate(top, 1))


def make_photographs(folder: Path, number: int) -> None:
    """JPEGs as large as ImageNet's: smooth noise, which takes a decoder about as long as a photograph."""
    from PIL import Image

    chance = np.random.default_rng(0)
    for count in range(number):
        noise = Image.fromarray(chance.integers(0, 256, (47, 63, 3), "uint8"))
        noise.resize((500, 375), Image.Resampling.BICUBIC).save(folder / f"{count:04}.jpg", quality=90)


def rows_of(cases: dict[str, Case], number: int, rounds: int) -> list[dict]:
    """The loop's row and another's, from the same rounds, with files and without."""
    files = {name: case._replace(arguments=case.arguments | {"alone": False}) for name, case in cases.items()}
    arrays = {
        name + ALONE: case._replace(arguments=case.arguments | {"alone": True})
        for name, case in cases.items()
    }
    seconds, peaks = measured(files | arrays, rounds, warm=1)
    rates = {row["case"]: row["pictures/s"] for row in table(seconds, LOOP, number, "pictures")}
    found = {name: taken for name, taken in seconds.items() if name in cases}

    def columns(name: str, rate: float) -> dict:
        return {"pictures/s alone": rates.get(name + ALONE)}

    return table(found, LOOP, number, "pictures", peaks, columns)


def predictors(common: dict) -> dict[str, Case]:
    return {
        f"Predictor, {engine} {precision}": Case(
            our_predictor, {"engine": engine, "precision": precision} | common
        )
        for engine, precision in (("keras", "float32"), *installed())
    }


@click.command()
@click.option("--folder", type=click.Path(exists=True, file_okay=False), help="In place of noise.")
@click.option("--number", default=200, show_default=True, help="Photographs to make.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--only", default="", help="Predictors to run, by a part of their name, such as openvino.")
@click.option("--batch", default=32, show_default=True)
@click.option("--quick", is_flag=True, help="Eight photographs, tiny pictures, two rounds: does it run?")
def main(folder, number, rounds, only, batch, quick):
    """Measure folders to labels; write docs/benchmarks/pipeline.md and .json."""
    rounds, number, batch, size = (2, 8, 4, 32) if quick else (rounds, number, batch, 224)
    with contextlib.ExitStack() as kept:
        if folder is None:
            folder = kept.enter_context(tempfile.TemporaryDirectory())
            make_photographs(Path(folder), number)
        number = len(_paths(folder))
        common = {"folder": str(folder), "batch": batch, "size": size}
        rows = []
        chosen = {name: case for name, case in predictors(common).items() if only in name}
        for name, case in chosen.items():  # two at a time: all at once would fill the memory
            found = rows_of({LOOP: Case(keras_loop, common), name: case}, number, rounds)
            rows += found[1:] if rows else found  # the loop once
    report("pipeline", "A folder of photographs to a CSV of labels", {f"{number} JPEGs": rows}, NOTES, quick)


if __name__ == "__main__":
    main()
