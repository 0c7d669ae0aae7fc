"""Ask TensorFlow Serving about pictures over HTTP: ``python rest_client.py ADDRESS PICTURE...``

ADDRESS is that of the model, such as ``http://localhost:8501/v1/models/served``. Only Python is needed.
"""

import base64
import json
import sys
import urllib.request
from pathlib import Path

MANY = 32  # in a request: the server's max_batch_size is the most that it takes
address, *pictures = sys.argv[1:]


def instance(picture):
    return {"b64": base64.b64encode(Path(picture).read_bytes()).decode()}


for first in range(0, len(pictures), MANY):
    some = pictures[first : first + MANY]
    body = {"signature_name": "image_bytes", "instances": list(map(instance, some))}
    request = urllib.request.Request(f"{address}:predict", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=60) as response:
        answers = json.load(response)["predictions"]
    for picture, answer in zip(some, answers, strict=True):
        if answer["valid"]:
            print(f"{picture}: {answer['classes'][0]} {answer['scores'][0]:.3f}")
        else:
            print(f"{picture}: not a picture")
