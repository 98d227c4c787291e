#!/usr/bin/python3
"""Trains the demo's backbone and writes it as ONNX.

A small residual network on the first 50,000 training pictures of Fashion-MNIST
(Debian: dataset-fashion-mnist). The other 10,000 stay unseen: heads and gates
are trained on them.

    /usr/bin/python3 train_backbone.py --epochs 9 --out fashion_resnet.onnx
"""
import argparse
import gzip
import time

import numpy
import torch
from torch import nn
from torch.nn import functional

FOLDER = "/usr/share/datasets/fashion-mnist"
MEAN, STD = 0.286, 0.353


def read_images(name):
    with gzip.open(f"{FOLDER}/{name}-images-idx3-ubyte.gz") as f:
        pixels = numpy.frombuffer(f.read(), numpy.uint8, offset=16)
    x = torch.from_numpy(pixels.copy()).view(-1, 1, 28, 28).float() / 255
    return (x - MEAN) / STD


def read_labels(name):
    with gzip.open(f"{FOLDER}/{name}-labels-idx1-ubyte.gz") as f:
        labels = numpy.frombuffer(f.read(), numpy.uint8, offset=8)
    return torch.from_numpy(labels.copy()).long()


def convolution(before, after, size, stride=1):
    return nn.Sequential(
        nn.Conv2d(before, after, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(after))


class Block(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.first = convolution(before, after, 3, stride)
        self.second = convolution(after, after, 3)
        self.skip = (convolution(before, after, 1, stride)
                     if stride != 1 or before != after else nn.Identity())

    def forward(self, x):
        y = functional.relu(self.first(x))
        return functional.relu(self.second(y) + self.skip(x))


class Network(nn.Module):
    """Stem of 16 channels, then 3 blocks of 24 and 3 of 64."""

    def __init__(self):
        super().__init__()
        self.stem = convolution(1, 16, 3)
        blocks, before = [], 16
        for width, count, stride in ((24, 3, 2), (64, 3, 2)):
            for i in range(count):
                blocks.append(Block(before, width, stride if i == 0 else 1))
                before = width
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Linear(before, 10)

    def forward(self, x):
        x = self.blocks(functional.relu(self.stem(x)))
        return self.classifier(functional.adaptive_avg_pool2d(x, 1).flatten(1))


def accuracy(network, images, labels):
    network.eval()
    right = 0
    with torch.no_grad():
        for i in range(0, len(images), 500):
            answers = network(images[i:i + 500]).argmax(1)
            right += (answers == labels[i:i + 500]).sum().item()
    return right / len(images)


def augment(x):
    """Mirrors half of the rows and shifts the batch by up to one pixel."""
    mirrored = torch.rand(len(x)) < 0.5
    x = torch.where(mirrored.view(-1, 1, 1, 1), x.flip(3), x)
    dy, dx = torch.randint(-1, 2, (2,)).tolist()
    background = -MEAN / STD
    x = functional.pad(x, (1, 1, 1, 1), value=background)
    return x[:, :, 1 + dy:29 + dy, 1 + dx:29 + dx]


def train(network, images, labels, epochs, batch):
    steps = len(images) // batch
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9,
                                weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 0.25, total_steps=epochs * steps, pct_start=0.25)
    for epoch in range(epochs):
        start, total = time.time(), 0.0
        network.train()
        order = torch.randperm(len(images))
        for step in range(steps):
            rows = order[step * batch:(step + 1) * batch]
            x = augment(images[rows]).contiguous(memory_format=torch.channels_last)
            loss = functional.cross_entropy(network(x), labels[rows])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}/{epochs}  loss {total / steps:.4f}  "
              f"{time.time() - start:.0f} s", flush=True)


def export(network, path):
    network.eval()
    torch.onnx.export(
        network, torch.zeros(1, 1, 28, 28), path, opset_version=13,
        input_names=["pixels"], output_names=["logits"],
        dynamic_axes={"pixels": {0: "N"}, "logits": {0: "N"}})


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--epochs", type=int, default=9)
    arguments.add_argument("--batch", type=int, default=128)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--out", default="fashion_resnet.onnx")
    chosen = arguments.parse_args()

    torch.set_num_threads(chosen.threads)
    torch.manual_seed(chosen.seed)
    images, labels = read_images("train"), read_labels("train")
    network = Network().to(memory_format=torch.channels_last)
    print("parameters", sum(p.numel() for p in network.parameters()))

    train(network, images[:50000], labels[:50000], chosen.epochs, chosen.batch)
    print(f"accuracy on the 10,000 training pictures left out "
          f"{accuracy(network, images[50000:], labels[50000:]):.4f}")
    print(f"accuracy on the 10,000 test pictures "
          f"{accuracy(network, read_images('t10k'), read_labels('t10k')):.4f}")
    export(network.to(memory_format=torch.contiguous_format), chosen.out)


if __name__ == "__main__":
    main()
