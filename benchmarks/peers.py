"""What people would use instead, each as a whole process: `python -m benchmarks.peers NAME ...`.

Every one classifies the JPEGs of a folder with the same weights and prints how many it did, or
measures a limit and prints seconds.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engines import OnnxRuntime, OpenVino

BATCH = 8
MULTIPLY_ADDS = 5.71e9


def keras_one_by_one(weights: str, folder: str) -> int:
    """Keras Applications as its documentation has it: load_img, predict, for each image."""
    import keras

    model = keras.applications.InceptionV3(weights=weights)
    count = 0
    for path in _paths(folder):
        picture = keras.utils.load_img(path, target_size=(299, 299), interpolation="bilinear")
        batch = np.asarray(picture, "float32")[None]
        batch = keras.applications.inception_v3.preprocess_input(batch)
        count += len(np.argsort(model.predict(batch, verbose=0)[0])[::-1][:5]) // 5
    return count


def keras_dataset(weights: str, folder: str) -> int:
    """Keras Applications with `image_dataset_from_directory` and one `predict`."""
    import keras

    model = keras.applications.InceptionV3(weights=weights)
    dataset = keras.utils.image_dataset_from_directory(
        folder, labels=None, image_size=(299, 299), shuffle=False, verbose=False
    )
    scores = model.predict(dataset.map(lambda batch: batch / 127.5 - 1).prefetch(2), verbose=0)
    return len(np.argsort(scores, axis=1)[:, ::-1][:, :5])


def onnxruntime(model: str, folder: str) -> int:
    """ONNX Runtime on all cores, decoding ahead in threads."""
    import onnxruntime as ort

    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    return _loop(lambda images: session.run(None, {"images": images})[0], folder)


def openvino_f32(model: str, folder: str) -> int:
    """OpenVINO in float32, decoding ahead in threads."""
    return _openvino(model, folder, "f32")


def openvino_bf16(model: str, folder: str) -> int:
    """OpenVINO in bfloat16, decoding ahead in threads."""
    return _openvino(model, folder, "bf16")


def onnxruntime_in_our_loop(weights: str, model: str, folder: str) -> int:
    """ONNX Runtime in the place of LiteRT, in our worker processes."""
    return _in_our_loop(weights, functools.partial(OnnxRuntime, model), folder)


def openvino_in_our_loop(weights: str, model: str, folder: str) -> int:
    """OpenVINO in float32 in the place of LiteRT, in our worker processes."""
    return _in_our_loop(weights, functools.partial(OpenVino, model, "f32"), folder)


def engine_alone(weights: str, count: str, precision: str) -> int:
    """Our own engine without decoding: one process for each core, one thread each."""
    import multiprocessing

    from inceptioncli.pipeline.layout import cores

    workers = cores()
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        share = int(count) // workers
        return sum(pool.starmap(_run_engine, [(weights, share, precision)] * workers))


def matrix_products(count: str) -> int:
    """As many multiply-adds as so many images take, as matrix products on all cores."""
    import tensorflow as tf

    side = 2048
    a = tf.random.normal((side, side))
    tf.matmul(a, a).numpy()
    begun = time.perf_counter()
    products = max(1, round(int(count) * MULTIPLY_ADDS / side**3))
    for _ in range(products):
        b = tf.matmul(a, a)
    b.numpy()
    seconds = time.perf_counter() - begun
    print(f"seconds {seconds * int(count) * MULTIPLY_ADDS / (products * side**3)}")
    return int(count)


def _run_engine(weights: str, count: int, precision: str) -> int:
    from inceptioncli.engine import litert
    from inceptioncli.weights import collection

    engine = litert.prepare(collection.choose(weights), precision).open(1)
    image = np.random.default_rng(0).integers(0, 256, (1, 299, 299, 3), dtype=np.uint8)
    for _ in range(count):
        engine.run(image, ["Predictions"])
    return count


def _in_our_loop(weights: str, opener: Callable[[int], Any], folder: str) -> int:
    import inceptioncli
    from inceptioncli.pipeline.layout import cores

    classifier = inceptioncli.load(weights, device="cpu")
    other = inceptioncli.Classifier(classifier.ready._replace(open=opener))
    return sum(record.ok for record in other.classify(folder, workers=cores()))


def _openvino(model: str, folder: str, precision: str) -> int:
    import openvino

    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": precision})
    return _loop(lambda images: compiled(images)[0], folder)


def _loop(run: Callable[[Any], Any], folder: str) -> int:
    count = 0
    for batch in _batches(folder):
        count += len(np.argsort(run(batch), axis=1)[:, ::-1][:, :5])
    return count


def _batches(folder: str) -> Iterator[Any]:
    with ThreadPoolExecutor(2) as threads:
        paths = list(_paths(folder))
        groups = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
        ahead = [threads.map(_decode, group) for group in groups[:2]]
        for place in range(len(groups)):
            batch = np.stack(list(ahead[place]))
            if place + 2 < len(groups):
                ahead.append(threads.map(_decode, groups[place + 2]))
            yield batch


def _decode(path: str) -> Any:
    from PIL import Image

    image = Image.open(path)
    image.draft("RGB", (598, 598))
    image = image.convert("RGB").resize((299, 299), Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32) / 127.5 - 1


def _paths(folder: str) -> Iterator[str]:
    return iter(sorted(map(str, Path(folder).rglob("*.jpg"))))


PEERS: dict[str, Callable[..., int]] = {
    "keras_one_by_one": keras_one_by_one,
    "keras_dataset": keras_dataset,
    "onnxruntime": onnxruntime,
    "onnxruntime_in_our_loop": onnxruntime_in_our_loop,
    "openvino_f32": openvino_f32,
    "openvino_in_our_loop": openvino_in_our_loop,
    "openvino_bf16": openvino_bf16,
    "engine_alone": engine_alone,
    "matrix_products": matrix_products,
}

if __name__ == "__main__":
    print(PEERS[sys.argv[1]](*sys.argv[2:]))
