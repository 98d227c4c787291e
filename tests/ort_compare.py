#!/usr/bin/env python3
"""Whole networks through build/tests/plan_run and through ONNX Runtime: the
logits must agree within 1e-3 of the largest.

  ort_compare.py PLAN_RUN MODEL.onnx...

ONNX Runtime is used through its C API; its library is $ORT_LIB, or lies under
a node_modules/onnxruntime-node above this folder or below $NODE_MODULES.
Prints a "pass", "FAIL" or "skip" line for each network and input."""
import array, ctypes as C, glob, os, random, subprocess, sys, tempfile

# places in the OrtApi table, which only ever grows
(ERRMSG, CREATE_ENV, CREATE_SESSION, RUN, CREATE_OPT) = (2, 3, 7, 9, 10)
(INTRA, INTER, IN_TYPE, IN_NAME, OUT_NAME) = (24, 25, 33, 36, 37)
(TENSOR, DATA, CAST, DIMCOUNT, DIMS, COUNT, SHAPE, MEMINFO, ALLOC) = (49, 51, 55, 61, 62, 64, 65, 69, 78)
P, SZ, I64 = C.c_void_p, C.c_size_t, C.c_int64


class Base(C.Structure):
    _fields_ = [("GetApi", C.CFUNCTYPE(C.POINTER(P), C.c_uint32)), ("GetVersionString", C.CFUNCTYPE(C.c_char_p))]


def find_library():
    if os.environ.get("ORT_LIB"):
        return os.environ["ORT_LIB"]
    roots, here = [os.environ.get("NODE_MODULES", "")], os.path.dirname(os.path.abspath(__file__))
    while os.path.dirname(here) != here:
        roots.append(os.path.join(here, "node_modules"))
        here = os.path.dirname(here)
    for root in filter(None, roots):
        found = glob.glob(os.path.join(root, "onnxruntime-node", "bin", "*", "linux", "x64", "libonnxruntime.so*"))
        if found:
            return sorted(found)[-1]
    return None


class Runtime:
    def __init__(self, library):
        self.dll = C.CDLL(library)
        self.dll.OrtGetApiBase.restype = C.POINTER(Base)
        self.table = self.dll.OrtGetApiBase().contents.GetApi(13)
        self.env = self.new(CREATE_ENV, (C.c_int, 3), (C.c_char_p, b"compare"))

    def call(self, i, *args):
        status = C.CFUNCTYPE(P, *[t for t, _ in args])(self.table[i])(*[v for _, v in args])
        if status:
            raise RuntimeError(C.CFUNCTYPE(C.c_char_p, P)(self.table[ERRMSG])(status).decode())

    def new(self, i, *args):
        out = P()
        self.call(i, *args, (C.POINTER(P), C.byref(out)))
        return out

    def open(self, model):
        options = self.new(CREATE_OPT)
        self.call(INTRA, (P, options), (C.c_int, 1))
        self.call(INTER, (P, options), (C.c_int, 1))
        self.session = self.new(CREATE_SESSION, (P, self.env), (C.c_char_p, model.encode()), (P, options))
        allocator = self.new(ALLOC)
        self.names = []
        for i in (IN_NAME, OUT_NAME):
            name = C.c_char_p()
            self.call(i, (P, self.session), (SZ, 0), (P, allocator), (C.POINTER(C.c_char_p), C.byref(name)))
            self.names.append(name)
        info = self.new(CAST, (P, self.new(IN_TYPE, (P, self.session), (SZ, 0))))
        rank = SZ()
        self.call(DIMCOUNT, (P, info), (C.POINTER(SZ), C.byref(rank)))
        self.dims = (I64 * rank.value)()
        self.call(DIMS, (P, info), (C.POINTER(I64), self.dims), (SZ, rank))
        return list(self.dims)[1:]

    def run(self, rows, data):
        self.dims[0] = rows
        memory = self.new(MEMINFO, (C.c_int, 1), (C.c_int, 0))
        x = self.new(TENSOR, (P, memory), (P, data.buffer_info()[0]), (SZ, 4 * len(data)), (C.POINTER(I64), self.dims),
                     (SZ, len(self.dims)), (C.c_int, 1))
        inputs, outputs = (P * 1)(x.value), (P * 1)()
        in_names, out_names = (C.c_char_p * 1)(self.names[0]), (C.c_char_p * 1)(self.names[1])
        self.call(RUN, (P, self.session), (P, None), (C.POINTER(C.c_char_p), in_names), (C.POINTER(P), inputs), (SZ, 1),
                  (C.POINTER(C.c_char_p), out_names), (SZ, 1), (C.POINTER(P), outputs))
        at, count = P(), SZ()
        self.call(DATA, (P, P(outputs[0])), (C.POINTER(P), C.byref(at)))
        shape = self.new(SHAPE, (P, P(outputs[0])))
        self.call(COUNT, (P, shape), (C.POINTER(SZ), C.byref(count)))
        return list((C.c_float * count.value).from_address(at.value))


def noise(n, seed):
    rng = random.Random(seed)
    block = [rng.gauss(0, 1) for _ in range(4099)]
    return array.array("f", (block[i * 7 % 4099] for i in range(n)))


def picture(n, seed):
    """Smooth, in the range of normalised photographs, one row brighter than the next."""
    return array.array("f", (((i // 224 + i * seed) % 509) / 110.0 - 2.1 for i in range(n)))


def main():
    program, models = sys.argv[1], sys.argv[2:]
    library = find_library()
    if not library:
        print("skip ort_compare: no libonnxruntime.so; set ORT_LIB or NODE_MODULES")
        return 0
    runtime, failed = Runtime(library), False
    folder = tempfile.mkdtemp()
    x_file, y_file = os.path.join(folder, "x"), os.path.join(folder, "y")
    for model in models:
        name = os.path.splitext(os.path.basename(model))[0]
        sides = runtime.open(model)
        size = 1
        for d in sides:
            size *= d
        for rows, make in ((1, noise), (7, picture)):
            data = make(rows * size, rows + 2)
            with open(x_file, "wb") as f:
                data.tofile(f)
            want = runtime.run(rows, data)
            done = subprocess.run([program, model, str(rows), x_file, y_file], capture_output=True, text=True)
            label = "%s, %d rows of %s" % (name, rows, make.__name__)
            if done.returncode:
                print("FAIL %s: %s" % (label, done.stderr.strip()))
                failed = True
                continue
            got = array.array("f")
            with open(y_file, "rb") as f:
                got.frombytes(f.read())
            largest = max(abs(v) for v in want)
            off = max(abs(a - b) for a, b in zip(want, got)) / largest if len(got) == len(want) else float("inf")
            bad = not off <= 1e-3
            failed = failed or bad
            print("%s %s: largest difference %.1e of the largest logit" % ("FAIL" if bad else "pass", label, off))
    for path in (x_file, y_file):
        if os.path.exists(path):
            os.remove(path)
    os.rmdir(folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
