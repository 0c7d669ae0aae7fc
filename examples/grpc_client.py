"""Ask TensorFlow Serving about pictures over gRPC: ``python grpc_client.py HOST:PORT MODEL PICTURE...``

``pip install tensorflow-serving-api`` has the messages; it brings TensorFlow, which makes the tensors.
"""

import sys
from pathlib import Path

import grpc
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

MANY = 32  # in a request: the server's max_batch_size is the most that it takes
server, model, *pictures = sys.argv[1:]
with grpc.insecure_channel(server, [("grpc.max_receive_message_length", -1)]) as channel:
    service = PredictionServiceStub(channel)
    for first in range(0, len(pictures), MANY):
        some = pictures[first : first + MANY]
        request = PredictRequest()
        request.model_spec.name = model
        request.model_spec.signature_name = "image_bytes"
        files = [Path(picture).read_bytes() for picture in some]
        request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(files))
        response = service.Predict(request, timeout=60)
        answer = {name: tf.make_ndarray(value) for name, value in response.outputs.items()}
        for row, picture in enumerate(some):
            if answer["valid"][row]:
                print(f"{picture}: {answer['classes'][row, 0].decode()} {answer['scores'][row, 0]:.3f}")
            else:
                print(f"{picture}: not a picture")
