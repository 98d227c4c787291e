#!/usr/bin/python3
"""Checks models with onnx.checker and compares what ONNX Runtime makes of them
with what is expected.

onnx_compare.py CASE.json...: {"model": path, "run": bool, "shape": [...], "input": [...], "outputs": {name: {"shape":
[...], "values": [...], "tolerance": t}}}; differences are relative to the largest expected value, or to 1.
Prints "skip NAME: why" for what is missing here. Exit status 0: equal; 1: not; 77: nothing could be compared.

onnxruntime's library: $ORT_LIB, or from the npm package onnxruntime-node (1.17 or newer) under $NODE_MODULES
or a node_modules folder here or above."""
import array
import ctypes as C
import glob
import json
import math
import os
import sys

# Places in the OrtApi table, which only ever grows at its end.
ERROR_TEXT, CREATE_ENV, CREATE_SESSION, RUN, CREATE_OPTIONS = 2, 3, 7, 9, 10
CREATE_TENSOR, TENSOR_DATA, DIM_COUNT, DIMS, SHAPE, MEMORY_INFO, FREE_VALUE = 49, 51, 61, 62, 65, 69, 96
INPUT_NAME, ALLOCATOR = 36, 78
P = C.c_void_p


def find_library():
    if os.environ.get("ORT_LIB"):
        return os.environ["ORT_LIB"]
    folders, here = [os.environ.get("NODE_MODULES", "")], os.getcwd()
    while True:
        folders.append(os.path.join(here, "node_modules"))
        if os.path.dirname(here) == here:
            break
        here = os.path.dirname(here)
    for folder in folders:
        found = glob.glob(os.path.join(folder, "onnxruntime-node", "bin", "*", "linux", "x64", "libonnxruntime.so*"))
        if folder and found:
            return sorted(found)[-1]
    return None


class Runtime:
    def __init__(self, library):
        class Base(C.Structure):
            _fields_ = [("api", C.CFUNCTYPE(C.POINTER(P), C.c_uint32)), ("version", C.CFUNCTYPE(C.c_char_p))]
        self.dll = C.CDLL(library)
        self.dll.OrtGetApiBase.restype = C.POINTER(Base)
        self.table = self.dll.OrtGetApiBase().contents.api(13)
        self.env = self.new(CREATE_ENV, (C.c_int, 3), (C.c_char_p, b"tests"))

    def call(self, i, *args):
        status = C.CFUNCTYPE(P, *[t for t, _ in args])(self.table[i])(*[v for _, v in args])
        if status:
            raise RuntimeError(C.CFUNCTYPE(C.c_char_p, P)(self.table[ERROR_TEXT])(status).decode())

    def new(self, i, *args):
        out = P()
        self.call(i, *args, (C.POINTER(P), C.byref(out)))
        return out

    def run(self, model, shape, values, names):
        """[(shape, values)] of the outputs of these names."""
        session = self.new(CREATE_SESSION, (P, self.env), (C.c_char_p, model.encode()), (P, self.new(CREATE_OPTIONS)))
        name, data, dims = C.c_char_p(), array.array("f", values), (C.c_int64 * len(shape))(*shape)
        self.call(INPUT_NAME, (P, session), (C.c_size_t, 0), (P, self.new(ALLOCATOR)),
                  (C.POINTER(C.c_char_p), C.byref(name)))
        memory = self.new(MEMORY_INFO, (C.c_int, 1), (C.c_int, 0))
        tensor = self.new(CREATE_TENSOR, (P, memory), (P, data.buffer_info()[0]), (C.c_size_t, 4 * len(data)),
                          (C.POINTER(C.c_int64), dims), (C.c_size_t, len(shape)), (C.c_int, 1))
        outs = (P * len(names))()
        self.call(RUN, (P, session), (P, None), (C.POINTER(C.c_char_p), (C.c_char_p * 1)(name)),
                  (C.POINTER(P), (P * 1)(tensor.value)), (C.c_size_t, 1),
                  (C.POINTER(C.c_char_p), (C.c_char_p * len(names))(*[n.encode() for n in names])),
                  (C.c_size_t, len(names)), (C.POINTER(P), outs))
        return [self.read(P(o)) for o in outs]

    def read(self, value):
        info, rank, at = self.new(SHAPE, (P, value)), C.c_size_t(), P()
        self.call(DIM_COUNT, (P, info), (C.POINTER(C.c_size_t), C.byref(rank)))
        dims = (C.c_int64 * rank.value)()
        self.call(DIMS, (P, info), (C.POINTER(C.c_int64), dims), (C.c_size_t, rank.value))
        self.call(TENSOR_DATA, (P, value), (C.POINTER(P), C.byref(at)))
        result = list(dims), list((C.c_float * math.prod(dims)).from_address(at.value))
        C.CFUNCTYPE(None, P)(self.table[FREE_VALUE])(value)
        return result


def check_file(path):
    """True unless this onnx package cannot judge the file."""
    model = onnx.load(path)
    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    if opset > onnx.defs.onnx_opset_version():
        return False
    onnx.checker.check_model(model, full_check=True)
    return True


def compare(runtime, case, path):
    expected = case["outputs"]
    found = runtime.run(case["model"], case["shape"], case["input"], list(expected))
    for (name, want), (shape, values) in zip(expected.items(), found):
        if shape != want["shape"]:
            sys.exit(f"{path}: {name} has shape {shape}, expected {want['shape']}")
        largest = max([1.0] + [abs(v) for v in want["values"]])
        worst = max(abs(a - b) if a == a else math.inf for a, b in zip(values, want["values"]))
        if not worst <= want["tolerance"] * largest:
            sys.exit(f"{path}: {name} differs by {worst}, largest {largest}")


try:
    import onnx
except ImportError:
    onnx = None
library = find_library()
if onnx is None:
    print("skip onnx.checker: /usr/bin/python3 has no onnx")
if library is None:
    print("skip ONNX Runtime: no libonnxruntime.so in $ORT_LIB or node_modules")
runtime = Runtime(library) if library else None
done = 0
for path in sys.argv[1:]:
    with open(path) as f:
        case = json.load(f)
    try:
        if onnx is not None:
            done += check_file(case["model"])
        if runtime is not None and case["run"]:
            compare(runtime, case, path)
            done += 1
    except Exception as e:
        sys.exit(f"{path}: {e}")
sys.exit(0 if done else 77)
