"""The plain torch side of benchmarks/train_speed.py, in a process of its own that is asked line by line.

    python benchmarks/speed_plain.py data/demo/train 299 16        # then type: 1 5

The loop of a tutorial: torchvision's ImageFolder and transforms, a DataLoader, fp32 and Adam, all by default. In the
process of the others it would train with the memory that this project has set up for itself. Arguments: class folders
of photos, a whole number of batches in all; side of the input in pixels; photos per step. Lines as in speed_keras.py.
"""

import sys
import time
from collections.abc import Iterator

import timm
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder


def main() -> None:
    """Build loader and network, then answer every line of standard input."""
    folder, size, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(size),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    photos = ImageFolder(folder, transform)
    batches = _endless(DataLoader(photos, batch_size=batch, shuffle=True))
    network = timm.create_model("inception_v3", pretrained=False, num_classes=len(photos.classes)).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    criterion = torch.nn.CrossEntropyLoss()
    running_loss = 0.0
    for line in sys.stdin:
        if line.strip() == "versions":
            print(f"torch {torch.__version__}", flush=True)
            continue
        warm_up, steps = (int(word) for word in line.split())
        start = time.perf_counter()
        for step in range(-warm_up, steps):
            if step == 0:
                start = time.perf_counter()
            images, targets = next(batches)
            optimiser.zero_grad()
            loss = criterion(network(images), targets)
            loss.backward()
            optimiser.step()
            running_loss += loss.item()
        print(time.perf_counter() - start, flush=True)


def _endless(loader: DataLoader[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from loader


if __name__ == "__main__":
    main()
