#!/usr/bin/env python3
"""The reference networks on 16 real pictures, against ONNX Runtime, at one and at seven rows a call.

  /usr/bin/python3 bench/agreement.py [--shared FOLDER] [--models FOLDER] [--program build/tests/plan_run]

Needs Pillow and numpy (Debian: python3-pil, python3-numpy) and libonnxruntime (see tests/ort_compare.py). The pictures
are prepared with numpy here, not by the library. Prints the largest difference of the logits over the largest logit.
"""
import argparse
import array
import io
import os
import subprocess
import sys
import tarfile
import tempfile

import numpy
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests"))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
from accuracy import NETWORKS
from ort_compare import Runtime, find_library

NETWORKS = dict(NETWORKS, cifar100_20=dict(NETWORKS["cifar100"], file="cifar100_resnet20.onnx"))


def pictures(source, n):
    """n pictures spread over the data set, in its order."""
    if os.path.isdir(source):
        names = sorted(os.path.join(d, f) for d, _, files in os.walk(source) for f in files)
        return [Image.open(f).convert("RGB") for f in names[::len(names) // n][:n]]
    with tarfile.open(source) as tar:
        members = [m for m in tar.getmembers() if m.isfile()]
        return [Image.open(io.BytesIO(tar.extractfile(m).read())).convert("RGB") for m in members[::len(members) // n][:n]]


def prepare(picture, flags):
    words = flags.split()
    given = dict(zip(words[::2], words[1::2]))
    numbers = lambda key, default: numpy.array([float(v) for v in given.get(key, default).split(",")])
    p = numpy.asarray(picture, dtype=numpy.float64)
    if given.get("--order") == "bgr":
        p = p[:, :, ::-1]
    x = (p * float(given.get("--scale", 1 / 255)) - numbers("--mean", "0,0,0")) / numbers("--std", "1,1,1")
    return x.transpose(2, 0, 1).astype(numpy.float32)


def ours(program, file, rows, x):
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in "xy"]
        x.tofile(paths[0])
        subprocess.run([program, file, str(rows)] + paths, check=True, stdout=subprocess.DEVNULL)
        return numpy.fromfile(paths[1], dtype=numpy.float32)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--shared", default="../shared/data")
    p.add_argument("--models")
    p.add_argument("--program", default="build/tests/plan_run")
    o = p.parse_args()
    library, failed = find_library(), False
    if not library:
        sys.exit("no libonnxruntime.so; set ORT_LIB or NODE_MODULES")
    models = o.models or subprocess.run([os.path.join(o.shared, "unpack")], stdout=subprocess.PIPE, text=True,
                                        check=True).stdout.strip()
    print("| network | rows a call | largest difference / largest logit |\n|---|---:|---:|")
    for net in NETWORKS.values():
        file = next(f for f in (os.path.join(models, net["file"]), os.path.join(o.shared, "models", net["file"]))
                    if os.path.exists(f))
        source = os.path.join(o.shared, net["judge"].split(":")[0])
        x = numpy.stack([prepare(picture, net["flags"]) for picture in pictures(source, 16)])
        for rows in (1, 7):
            runtime, worst = Runtime(library), 0.0
            runtime.open(file)
            for at in range(0, 16 - rows + 1, rows):
                batch = numpy.ascontiguousarray(x[at:at + rows])
                want = numpy.array(runtime.run(rows, array.array("f", batch.tobytes())))
                got = ours(o.program, file, rows, batch)
                worst = max(worst, float(abs(want - got).max() / abs(want).max()))
            failed = failed or not worst <= 1e-3
            print("| %s | %d | %.1e |" % (net["file"], rows, worst), flush=True)
    return 1 if failed else 0


sys.exit(main())
