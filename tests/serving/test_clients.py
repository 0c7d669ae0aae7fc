"""The clients of the examples and the lines beside an export, asked of servers that speak as TensorFlow Serving does."""

import base64
import concurrent.futures
import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_resnets import Bundle, create, export, preset_of
from keras_resnets.images.labels import numbered

from ..conftest import calm, write_picture

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="SavedModel is TensorFlow's own"
)

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """An export, three files of which the middle one is no picture, and what is to be said of them."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("clients")
    model = calm(create("resnet20", weights=None, classes=3, seed=0))
    place = export(Bundle(model, preset_of(model), numbered(["ant", "bee", "cat"])), folder / "pets")
    files = [write_picture(folder / "a.png"), folder / "b.jpg", write_picture(folder / "c.png", seed=1)]
    files[1].write_bytes(b"no picture")
    served = tf.saved_model.load(str(place))
    answer = served.signatures["image_bytes"](image_bytes=tf.constant([file.read_bytes() for file in files]))
    rows = zip(
        files, answer["valid"].numpy(), answer["classes"].numpy(), answer["scores"].numpy(), strict=True
    )
    said = [
        f"{file}: {names[0].decode()} {scores[0]:.3f}" if valid else f"{file}: not a picture"
        for file, valid, names, scores in rows
    ]
    return served, place, files, said


def run(script, *arguments):
    command = [sys.executable, EXAMPLES / script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_the_grpc_client(pets):
    grpc = pytest.importorskip("grpc")
    pytest.importorskip("tensorflow_serving")
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    served, _, files, said = pets

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            assert request.model_spec.name == "pets"
            function = served.signatures[request.model_spec.signature_name]
            inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
            assert len(inputs["image_bytes"]) <= 32  # what the example of a server's settings takes
            response = predict_pb2.PredictResponse()
            for name, value in function(**inputs).items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            return response

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    try:
        assert run("grpc_client.py", f"localhost:{port}", "pets", *(12 * files)) == 12 * said
    finally:
        server.stop(None)


@pytest.fixture
def rest(pets):
    """A server of TensorFlow Serving's REST API, as far as `instances` of one named input go."""
    import tensorflow as tf

    served = pets[0]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            assert self.path == "/v1/models/pets:predict"
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            files = [base64.b64decode(instance["b64"], validate=True) for instance in body["instances"]]
            assert len(files) <= 32
            answer = served.signatures[body["signature_name"]](image_bytes=tf.constant(files))
            columns = {name: value.numpy() for name, value in answer.items()}
            rows = [
                {name: column[row].tolist() for name, column in columns.items()} for row in range(len(files))
            ]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"predictions": rows}, default=bytes.decode).encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("localhost", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_the_rest_client(pets, rest):
    _, _, files, said = pets
    assert run("rest_client.py", f"http://localhost:{rest}/v1/models/pets", *(12 * files)) == 12 * said


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_lines_beside_an_export(pets, rest):
    _, place, files, said = pets
    blocks = re.findall(r"```\n(.*?)```", (place.parent / "README.md").read_text(), re.DOTALL)
    [line] = [block for block in blocks if "curl" in block]
    line = line.replace("cat.jpg", str(files[0])).replace("localhost:8501", f"localhost:{rest}")
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60)
    [answer] = json.loads(done.stdout)["predictions"]
    assert answer["valid"] and f"{files[0]}: {answer['classes'][0]} {answer['scores'][0]:.3f}" == said[0]
    np.testing.assert_allclose(sum(answer["probabilities"]), 1, atol=1e-5)
