#!/usr/bin/env python3
"""How much of the time that skipped stages take is really saved.

  bench/time_saved.py MODEL DATA [--leenet BINARY] [--rows 1 32] [--threads 1]

For every operating point: the share of the plain network's time that leaving early saved (`leenet eval`, plain and
early interleaved), over the share that the skipped stages take in the plain network (`leenet bench --stages`, weighed
by where rows left). 1 means that heads, gates and packing cost nothing.
"""
import argparse
import json
import subprocess


def lines(command):
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("data")
    p.add_argument("--leenet", default="build/leenet")
    p.add_argument("--rows", nargs="+", type=int, default=[1, 32])
    p.add_argument("--threads", type=int, default=1)
    o = p.parse_args()
    print("| rows | point | alpha | stages skipped | time saved | saved / skipped | heads and gates |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for rows in o.rows:
        work = ["--rows", str(rows), "--threads", str(o.threads)]
        stages = lines([o.leenet, "bench", o.model, "--stages"] + work)[0]["stages"]
        plain = sum(s["backbone_ms"] for s in stages)
        for r in lines([o.leenet, "eval", o.model, "--data", o.data, "--point", "all", "--json", "--quiet"] + work):
            skipped = sum(e["share"] * sum(s["backbone_ms"] for s in stages[i + 1:]) / plain
                          for i, e in enumerate(r["exits"]))
            heads = sum(e["share"] * sum(s["head_ms"] for s in stages[:i + 1]) / plain for i, e in enumerate(r["exits"]))
            saved = 1 - r["ms_per_row"] / r["plain_ms_per_row"]
            print("| %d | %d | %.3g | %.3f | %.3f | %.3f | %.3f |" % (
                rows, r["point"], r["alpha"], skipped, saved, saved / skipped if skipped else float("nan"), heads))


main()
