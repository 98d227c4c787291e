#!/usr/bin/env python3
"""Trains exits on one of the reference networks and prints its trade-off as Markdown.

  bench/accuracy.py NETWORK [--leenet BINARY] [--shared FOLDER] [--work FOLDER] [--recipe leenet]
                    [--csv FILE] [--train-only] [-- FLAGS FOR leenet train ...]

NETWORK: resnet50, mobilenet, squeezenet, cifar10, cifar100. Accuracy and shares are of all judged rows, which
neither heads nor gates have seen; the times of the other row and thread counts are of a fifth of them. Everything
printed comes from `leenet train` and `leenet eval --json`; the commands are printed with it. --csv writes what
docs/tradeoff.gp draws.
"""
import argparse
import json
import math
import os
import shlex
import subprocess
import sys
import time

CIFAR10 = "--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225"
CIFAR100 = "--mean 0.5070,0.4865,0.4409 --std 0.2673,0.2564,0.2761"
NETWORKS = {
    "resnet50": dict(file="resnet50_imagenette.onnx", train="imagenette/train", judge="imagenette/val",
                     flags="--order bgr --scale 1 --mean 103.0626,115.9029,123.1516"),
    "mobilenet": dict(file="imagenet_mobilenet_v1_075.onnx", train="imagenette/train", judge="imagenette/val",
                      flags="--scale 0.00784313725 --mean 1,1,1", class_map="imagenette/classes.tsv"),
    "squeezenet": dict(file="imagenet_squeezenet1_0.onnx", train="imagenette/train", judge="imagenette/val",
                       flags="--order bgr --scale 1 --mean 104,117,123", class_map="imagenette/classes.tsv"),
    "cifar10": dict(file="cifar10_resnet56.onnx", train="cifar10/test.tar.gz:part=0/5", heads="cifar10/train.tar.gz",
                    judge="cifar10/test.tar.gz:not=0/5", flags=CIFAR10 + " --augment 16 --epochs 40"),
    "cifar100": dict(file="cifar100_resnet56.onnx", train="cifar100/test.tar.gz:part=0/5", heads="cifar100/train.tar.gz",
                     judge="cifar100/test.tar.gz:not=0/5", flags=CIFAR100 + " --augment 8 --epochs 30"),
}


def wilson(share, n, z=1.959964):
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return 100 * (middle - half), 100 * (middle + half)


def run(command, log):
    log.append(" ".join(shlex.quote(c) for c in command))
    began = time.time()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("failed (%d): %s" % (done.returncode, log[-1]))
    return done.stdout, time.time() - began


def evaluate(o, model, data, rows, threads, log):
    out, _ = run([o.leenet, "eval", model, "--data", data, "--point", "all", "--rows", str(rows), "--threads", str(threads),
                  "--json", "--quiet"], log)
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def write_csv(path, points):
    with open(path, "w") as f:
        f.write("alpha,time_share,accuracy,plain_accuracy\n")
        for r in sorted(points, key=lambda r: -r["ms_per_row"]):
            f.write("%g,%.4f,%.4f,%.4f\n" % (r["alpha"], r["ms_per_row"] / r["plain_ms_per_row"], r["accuracy"], r["plain_accuracy"]))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("network", choices=NETWORKS)
    p.add_argument("--leenet", default="build/leenet")
    p.add_argument("--shared", default="../shared/data")
    p.add_argument("--models", help="folder of unpacked networks (default: where data/unpack puts them)")
    p.add_argument("--work", default="build/bench")
    p.add_argument("--recipe", choices=["leenet"])
    p.add_argument("--csv")
    p.add_argument("--train-only", action="store_true", help="one evaluation, rows 1 and one thread")
    p.add_argument("flags", nargs="*")
    o = p.parse_args()
    os.makedirs(o.work, exist_ok=True)
    net, log = NETWORKS[o.network], []
    if not o.models:
        o.models = subprocess.run([os.path.join(o.shared, "unpack")], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    file = next(f for f in (os.path.join(o.models, net["file"]), os.path.join(o.shared, "models", net["file"])) if os.path.exists(f))
    out = os.path.join(o.work, "%s%s.onnx" % (o.network, "-leenet" if o.recipe else ""))
    train = [o.leenet, "train", file, "--data", os.path.join(o.shared, net["train"])] + net["flags"].split()
    if "heads" in net:
        train += ["--head-data", os.path.join(o.shared, net["heads"])]
    if "class_map" in net:
        train += ["--class-map", os.path.join(o.shared, net["class_map"])]
    if o.recipe:
        train += ["--recipe", o.recipe]
    _, seconds = run(train + o.flags + ["--quiet", "-o", out], log)
    judge = os.path.join(o.shared, net["judge"])
    main_points = evaluate(o, out, judge, 1, 1, log)
    if o.csv:
        write_csv(o.csv, main_points)
    times = {} if o.train_only else {
        (r, t): evaluate(o, out, judge + ":part=0/5", r, t, log) for r, t in ((1, 2), (32, 1), (32, 2))}
    first = main_points[0]
    print("%s: %d rows judged, plain network %.2f %%, %.2f ms a row (one row, one thread); training took %.0f s.\n" % (
        net["file"], first["rows"], 100 * first["plain_accuracy"], first["plain_ms_per_row"], seconds))
    head = ["alpha", "accuracy % (95 %)", "loss, points", "share per exit %", "params", "macs", "time N=1"]
    head += ["time N=%d, T=%d" % k for k in times] + ["expected: accuracy", "time"]
    print("| " + " | ".join(head) + " |\n|" + "---:|" * len(head))
    for i, r in enumerate(main_points):
        low, high = wilson(r["accuracy"], r["rows"])
        row = ["%.3g%s" % (r["alpha"], ", moved to a budget" if r["moved"] else ""), "%.2f (%.1f..%.1f)" % (100 * r["accuracy"], low, high),
               "%.2f" % (100 * (r["plain_accuracy"] - r["accuracy"])),
               " ".join("%.0f" % (100 * e["share"]) for e in r["exits"]),
               "%.3f" % r["params_share"], "%.3f" % r["macs_share"], "%.3f" % (r["ms_per_row"] / r["plain_ms_per_row"])]
        row += ["%.3f" % (t[i]["ms_per_row"] / t[i]["plain_ms_per_row"]) for t in times.values()]
        row += ["%.2f" % (100 * r["expected"]["accuracy"]), "%.3f" % r["expected"]["time_share"]]
        print("| " + " | ".join(row) + " |")
    print("\n```\n" + "\n".join(log) + "\n```")


if __name__ == "__main__":
    main()
