"""An exported model behind NVIDIA's Triton, with TensorFlow and nvidia-pytriton alone.

    .venv-triton/bin/python benchmarks/triton_server.py out/served/1 --port 8001

Triton gathers requests that wait into batches; the model is asked for each batch once. A picture that cannot
be decoded has ``valid`` false: a Triton error would be the whole batch's. Ends when its standard input does.
"""

import argparse
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

NAME = "image_bytes"  # of the signature, and of the model that clients ask for


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", help="of one version of an export")
    arguments.add_argument("--port", type=int, default=8001, help="for gRPC")
    arguments.add_argument("--batch", type=int, default=16, help="the most pictures at once")
    arguments.add_argument("--delay", type=float, default=2.0, help="ms that a request waits for others")
    asked = arguments.parse_args()
    said = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what Triton prints is a log

    model = tf.saved_model.load(asked.folder)  # the signature needs it alive
    answer = model.signatures[NAME]

    @batch
    def infer(image_bytes: np.ndarray) -> dict[str, np.ndarray]:
        answers = answer(image_bytes=tf.constant(image_bytes[:, 0]))
        # Triton has no batches of scalars: `valid` becomes (N, 1), as the input is.
        return {name: value.numpy().reshape(len(image_bytes), -1) for name, value in answers.items()}

    # Every size of a batch has kernels of its own, chosen when it is first met.
    for size in range(1, asked.batch + 1):
        answer(image_bytes=tf.constant([b""] * size))

    outputs = [
        Tensor(name=name, dtype=spec.dtype.as_numpy_dtype, shape=tuple(spec.shape[1:]) or (1,))
        for name, spec in answer.structured_outputs.items()
    ]
    waiting = DynamicBatcher(max_queue_delay_microseconds=round(1e3 * asked.delay))
    config = TritonConfig(
        grpc_address="127.0.0.1", grpc_port=asked.port, allow_http=False, allow_metrics=False
    )
    with Triton(config=config) as triton:
        triton.bind(
            model_name=NAME,
            infer_func=infer,
            inputs=[Tensor(name=NAME, dtype=bytes, shape=(1,))],
            outputs=outputs,
            config=ModelConfig(max_batch_size=asked.batch, batcher=waiting),
        )
        triton.run()
        print(triton.get_access_token(), file=said)  # ready; statistics are for those who know it
        sys.stdin.read()


if __name__ == "__main__":
    main()
