#!/usr/bin/python3
"""Writes tiny_residual.onnx: a seeded residual network small enough to be
loaded, trained and saved thousands of times in a test. Debian: python3-torch."""
import os

import torch
from torch import nn
from torch.nn import functional


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


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, 1, 1)
        self.blocks = nn.Sequential(Block(4, 4, 1), Block(4, 8, 2), Block(8, 8, 1))
        self.classifier = nn.Linear(8, 3)

    def forward(self, x):
        x = self.blocks(functional.relu(self.stem(x)))
        return self.classifier(functional.adaptive_avg_pool2d(x, 1).flatten(1))


torch.manual_seed(3)
torch.onnx.export(
    Tiny().eval(), torch.zeros(1, 2, 8, 8),
    os.path.join(os.path.dirname(os.path.abspath(__file__)), "tiny_residual.onnx"),
    opset_version=13, input_names=["input"], output_names=["logits"],
    dynamic_axes={"input": {0: "N"}, "logits": {0: "N"}})
