"""The Keras side of benchmarks/train_speed.py; it runs in an environment of its own and is asked line by line.

    .venv-keras/bin/python benchmarks/speed_keras.py 299 16 float32        # then type: 1 5

Arguments: side of the input in pixels, photos per step, dtype policy. A line `versions` is answered with the versions,
a line `WARM_UP STEPS` with the seconds that STEPS training steps took after WARM_UP untimed ones.

The arrays are ready in memory and each step is one `train_on_batch`: no loading, no augmentation, the best case of
Keras. Everything else is left as Keras and TensorFlow set it: NHWC, oneDNN, a compiled graph.
"""

import sys
import time
from importlib.metadata import version

import keras  # type: ignore[import-not-found]
import numpy as np


def main() -> None:
    """Build the model, then answer every line of standard input."""
    size, batch, policy = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    keras.config.set_dtype_policy(policy)
    model = keras.applications.InceptionV3(weights=None, classes=3, input_shape=(size, size, 3))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    generator = np.random.default_rng(0)
    images = generator.standard_normal((batch, size, size, 3), dtype=np.float32)
    targets = generator.integers(0, 3, batch)
    for line in sys.stdin:
        if line.strip() == "versions":
            print(f"Keras {keras.__version__}, TensorFlow {version('tensorflow-cpu')}", flush=True)
            continue
        warm_up, steps = (int(word) for word in line.split())
        for _ in range(warm_up):
            model.train_on_batch(images, targets)
        start = time.perf_counter()
        for _ in range(steps):
            model.train_on_batch(images, targets)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
