#!/usr/bin/python3
"""Writes the first files of the corpora: small pictures and data sets of every
kind. Inputs that once broke something are added by hand, and so are the kinds
Pillow does not write (interlaced, 16-bit colour, YCCK). Debian: python3-pil."""
import gzip
import io
import os
import struct
import tarfile

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def write(folder, name, body):
    path = os.path.join(FOLDER, folder)
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, name), "wb") as out:
        out.write(body)


def picture(mode, width=13, height=10):
    colour = Image.new("RGB", (width, height))
    colour.putdata([(x * 19 % 256, y * 25 % 256, (x * y) % 256) for y in range(height) for x in range(width)])
    if mode == "I;16":
        deep = Image.new("I;16", (width, height))
        deep.putdata([(x * 5000 + y) % 65536 for y in range(height) for x in range(width)])
        return deep
    if mode == "P":
        return colour.convert("P", palette=Image.ADAPTIVE, colors=16)
    if mode == "CMYK":
        return Image.merge(mode, [*colour.split(), colour.convert("L")])
    return colour.convert(mode)


def packed(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def pictures():
    for mode in ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]:
        write("picture", "png-%s" % mode.replace(";", "").lower(), packed(picture(mode), "PNG"))
    write("picture", "png-transparent", packed(picture("P"), "PNG", transparency=3))
    for mode in ["L", "RGB", "CMYK"]:
        for progressive in [False, True]:
            write("picture", "jpeg-%s%s" % (mode.lower(), "-progressive" if progressive else ""),
                  packed(picture(mode), "JPEG", quality=60, progressive=progressive))
    exif = Image.Exif()
    exif[0x0112] = 6
    write("picture", "jpeg-turned", packed(picture("RGB"), "JPEG", exif=exif.tobytes()))


def tar():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for i in range(4):
            name = "%s/%s%d.png" % ("ab"[i % 2], "long" * (40 if i == 3 else 1), i)
            body = packed(picture("L", 8 + i, 8), "PNG")
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
    return out.getvalue()


def data_sets():
    idx = struct.pack(">4B3I", 0, 0, 8, 3, 10, 6, 5) + bytes(i % 251 for i in range(10 * 30))
    cifar = b"".join(bytes([label]) + bytes((i * label) % 256 for i in range(3072)) for label in range(2))
    kinds = [tar(), gzip.compress(tar(), 9, mtime=0), idx, gzip.compress(idx, 9, mtime=0), cifar]
    for i, name in enumerate(["tar", "targz", "idx", "idxgz", "cifar"]):
        write("data", name, bytes([i]) + kinds[i])
        write("data", name + "-skip", bytes([i + 5]) + kinds[i][:len(kinds[i]) * 2 // 3])


def tensor(name, *shape, kind=numpy.float32):
    values = numpy.sin(numpy.arange(int(numpy.prod(shape)))).reshape(shape).astype(kind)
    return numpy_helper.from_array(values, name)


def integers(name, *values):
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)


def node(operator, inputs, outputs, **attributes):
    return helper.make_node(operator, inputs.split(), outputs.split(), **attributes)


def network(name, nodes, initializers, opset, size=6):
    graph = helper.make_graph(
        nodes, name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, size, size])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 7
    onnx.checker.check_model(model)
    write("model", name, model.SerializeToString())


def networks():
    tail = [tensor("fw", 4, 3), tensor("fb", 3)]
    end = [node("GlobalAveragePool", "f", "p"), node("Flatten", "p", "v"), node("Gemm", "v fw fb", "logits")]
    network("plain", [
        node("Conv", "x w b", "c", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c s o m a", "n"), node("Relu", "n", "f")] + end,
        [tensor("w", 4, 2, 3, 3), tensor("b", 4), tensor("s", 4), tensor("o", 4), tensor("m", 4),
         numpy_helper.from_array(numpy.ones(4, numpy.float32), "a")] + tail, 13)
    network("branches", [
        node("Conv", "x w", "c", strides=[2, 2]), node("MaxPool", "c", "d", kernel_shape=[2, 2], ceil_mode=1),
        node("Conv", "d u", "e", group=2), node("Clip", "e low high", "g"), node("Concat", "d g", "h", axis=1),
        node("Transpose", "h", "t", perm=[0, 2, 3, 1]), node("ReduceMean", "t", "r", axes=[1, 2], keepdims=0),
        node("MatMul", "r fw", "y"), node("Add", "y fb", "z"), node("LogSoftmax", "z", "logits", axis=1)],
        [tensor("w", 2, 2, 1, 1), tensor("u", 2, 1, 1, 1), tensor("low"), tensor("high")] + tail, 13)
    network("shapes", [
        node("Conv", "x w", "f", auto_pad="SAME_UPPER"), node("GlobalAveragePool", "f", "p"),
        node("Shape", "p", "dims"), node("Gather", "dims zero", "batch", axis=0), node("Concat", "batch rest", "target", axis=0),
        node("Reshape", "p target", "v"), node("Dropout", "v", "k"), node("Gemm", "k fw fb", "logits", alpha=0.5)],
        [tensor("w", 4, 2, 2, 2, kind=numpy.float32), integers("zero", 0), integers("rest", -1)] + tail, 9)
    typed = helper.make_tensor("w", TensorProto.FLOAT, [4, 2, 1, 1], [0.25 * i for i in range(8)])
    constant = helper.make_node("Constant", [], ["half"], value=helper.make_tensor("", TensorProto.FLOAT, [1], [0.5]))
    network("constants", [constant, node("Conv", "x w", "c"), node("Mul", "c half", "m"), node("Pad", "m pads", "q"),
                          node("HardSwish", "q", "f")] + end, [typed, integers("pads", 0, 0, 1, 1, 0, 0, 1, 1)] + tail, 14)


pictures()
data_sets()
networks()
