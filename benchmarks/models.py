"""How fast every architecture answers, next to ResNet50: folded, on TensorFlow, float32, batches of 8.

    python benchmarks/models.py

One after the other in turns with ResNet50, at the size of picture that each is made for. The multiply-adds
are counted on the network. README's table of models has these numbers.
"""

import math

import click
from measuring import interleaved, table
from networks import pictures, randomise
from reporting import report
from worker import Case, Failed, worker

REFERENCE, BATCH = "resnet50", 8


def answers(key: str, batch: int):
    from keras_resnets import create
    from keras_resnets.engines import compiled

    model = randomise(create(key, weights=None))
    run, images = compiled(model, batch_size=batch), pictures(batch, model.input_shape[1])
    images = images[..., : model.input_shape[-1]]
    return lambda: run(images)


def multiply_adds(model) -> int:
    """Of one picture, in convolutions and dense layers."""
    from keras import layers

    total = 0
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            total += math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape)
        elif isinstance(layer, layers.Dense):
            total += math.prod(layer.output.shape[1:-1]) * math.prod(layer.kernel.shape)
    return total


def row_of(key: str, ask, rounds: int, batch: int) -> dict:
    from keras_resnets import create

    case = Case(answers, {"key": key, "batch": batch})
    with worker(case) as one:
        turns = {REFERENCE: ask, key: one} if key != REFERENCE else {REFERENCE: ask}
        runs = {name: lambda run=run: run()["seconds"] for name, run in turns.items()}
        *_, row = table(interleaved(runs, rounds, warm=1), REFERENCE, batch, "pictures")
    model = create(key, weights=None)
    return row | {
        "million parameters": sum(math.prod(v.shape) for v in model.trainable_variables) / 1e6,
        "million multiply-adds": multiply_adds(model) / 1e6,
    }


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--quick", is_flag=True, help="Two architectures, two rounds: does it run?")
def main(rounds, quick):
    """Measure every architecture; write docs/benchmarks/models.md and .json."""
    from keras_resnets import list_models

    keys, batch = (["resnet50", "resnet20"], 2) if quick else (list_models(), BATCH)
    rows = []
    with worker(Case(answers, {"key": REFERENCE, "batch": batch})) as ask:
        for key in keys:
            try:
                rows.append(row_of(key, ask, 2 if quick else rounds, batch))
            except Failed as error:
                click.echo(f"left out: {key}: {error}", err=True)
    title = f"Every architecture, batches of {batch}"
    report("models", title, {title: rows}, quick=quick)


if __name__ == "__main__":
    main()
