#!/usr/bin/python3
"""Writes shapes.onnx, a small residual network (input [N,1,16,16], three
classes), and shapes.tar.gz, labelled pictures it has not seen: 40 a class of a
disc, a lying and a standing bar in noise. Debian: python3-torch."""
import gzip
import io
import os
import struct
import tarfile
import zlib

import torch
from torch import nn
from torch.nn import functional

FOLDER = os.path.dirname(os.path.abspath(__file__))
NAMES = ["bar-lying", "bar-standing", "disc"]
SIZE = 16


def pictures(count, noise):
    labels = torch.arange(count) % len(NAMES)
    rows = torch.arange(SIZE).float().view(1, SIZE, 1)
    columns = torch.arange(SIZE).float().view(1, 1, SIZE)
    x, y = (5 + 6 * torch.rand(count, 1, 1) for _ in range(2))
    lying = ((rows - y).abs() < 1.5) & ((columns - x).abs() < 4.5)
    standing = ((rows - y).abs() < 4.5) & ((columns - x).abs() < 1.5)
    disc = (rows - y) ** 2 + (columns - x) ** 2 < 8
    shape = torch.stack([lying, standing, disc])[labels, torch.arange(count)].float()
    strength = noise * torch.rand(count, 1, 1)
    grey = 0.5 + (shape - 0.5) * 0.6 + strength * torch.randn(count, SIZE, SIZE)
    return (grey.clamp(0, 1) * 255).round().to(torch.uint8), labels


class Block(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, 1, 1)
        self.skip = nn.Conv2d(before, after, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        y = functional.relu(self.norm(self.first(x)))
        return functional.relu(self.second(y) + self.skip(x))


class Shapes(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, 1, 1)
        self.blocks = nn.Sequential(Block(8, 8, 1), Block(8, 16, 2), Block(16, 16, 1), Block(16, 24, 2))
        self.classifier = nn.Linear(24, len(NAMES))

    def forward(self, x):
        x = self.blocks(functional.relu(self.stem(x)))
        return self.classifier(functional.adaptive_avg_pool2d(x, 1).flatten(1))


def png(grey):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    lines = b"".join(b"\0" + bytes(line.tolist()) for line in grey)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", SIZE, SIZE, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b""))


def write_pictures():
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        grey, labels = pictures(40 * len(NAMES), 0.6)
        for i in range(len(grey)):
            body = png(grey[i])
            entry = tarfile.TarInfo("%s/%03d.png" % (NAMES[labels[i]], i))
            entry.size = len(body)
            tar.addfile(entry, io.BytesIO(body))
    with open(os.path.join(FOLDER, "shapes.tar.gz"), "wb") as out:
        with gzip.GzipFile("", "wb", 9, out, 0) as packed:
            packed.write(plain.getvalue())


torch.manual_seed(11)
torch.set_num_threads(1)
network = Shapes()
optimiser = torch.optim.Adam(network.parameters(), 0.003)
for step in range(400):
    grey, labels = pictures(96, 0.6)
    loss = functional.cross_entropy(network(grey.unsqueeze(1).float() / 255), labels)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
network.eval()
grey, labels = pictures(3000, 0.6)
right = network(grey.unsqueeze(1).float() / 255).argmax(1) == labels
print("accuracy on fresh pictures: %.4f" % right.float().mean())
torch.onnx.export(network, torch.zeros(1, 1, SIZE, SIZE), os.path.join(FOLDER, "shapes.onnx"),
                  opset_version=13, input_names=["pixels"], output_names=["logits"],
                  dynamic_axes={"pixels": {0: "N"}, "logits": {0: "N"}})
write_pictures()
