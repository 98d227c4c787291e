#!/usr/bin/env python3
"""What each option of heads and gates gains or loses: one training for each, everything else left at its default.

  bench/options.py [--leenet BINARY] [--shared FOLDER] [--work FOLDER] [--threads N] [--rows FILE] [--only NAME ...]

ResNet-56 on CIFAR-10: heads learn from 2,000 unseen rows and 5,000 that the network knows, gates from the 2,000,
8,000 others judge. Exits are those that the first training placed. Costs are multiply-adds, so that nothing depends
on the machine's pace. Prints a Markdown table: points lost where exactly half, 35 and 25 % of the cost are spent, and
the mean over budgets of 10 to 80 %, less the default's. --rows keeps what is measured, and goes on from there.
"""
import argparse
import json
import os
import subprocess
import sys

from accuracy import CIFAR10

BUDGETS = [0.05 * k for k in range(2, 17)]
BASE = {"augmentation": "--augment 8", "known rows": "--head-data {shared}/cifar10/train.tar.gz", "exits": "--exits {exits}"}
OPTIONS = [
    ("default", ""),
    ("the same with another seed", "--seed 1"),
    ("gates: 16 hidden", "--gate-hidden 16"),
    ("gates: the LEENet loss, all together", "--objective leenet"),
    ("gates: probability of being right", "--objective right"),
    ("gates: no regret", "--objective no-regret"),
    ("gates: cross entropy as the price", "--price ce"),
    ("gates read the head's input", "--gate features"),
    ("gates read both", "--gate both"),
    ("heads on their own", "--unchained"),
    ("heads: no covariances", "--covariance off"),
    ("heads: one cell", "--cells 1"),
    ("heads: linear", "--hidden 0"),
    ("heads: 128 hidden", "--hidden 128"),
    ("heads: convolutions", "--head conv"),
    ("dropout 0.2", "--dropout 0.2"),
    ("no weight decay", "--weight-decay 0"),
    ("weight decay 0.2", "--weight-decay 0.2"),
    ("label smoothing 0.1", "--label-smoothing 0.1"),
    ("distillation 0.5", "--distill 0.5"),
    ("5 folds", "--folds 5"),
    ("40 epochs", "--epochs 40"),
    ("as many exits, spread evenly", "--exits even:{count}", "exits"),
    ("no rows that the network knows", "", "known rows"),
    ("no augmentation", "", "augmentation"),
    ("no augmentation, heads: flatten", "--head flatten", "augmentation"),
    ("no augmentation, LEENet's recipe", "--recipe leenet", "augmentation"),
]


def leenet(o, *arguments):
    done = subprocess.run([o.leenet, *arguments], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("failed (%d): %s" % (done.returncode, " ".join((o.leenet,) + arguments)))
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def train(o, option, exits):
    """option: its name, its flags, and which of BASE it does without."""
    out = os.path.join(o.work, "option.onnx")
    flags = " ".join([text for what, text in BASE.items() if what not in option[2:]] + [option[1]])
    leenet(o, "train", os.path.join(o.shared, "models/cifar10_resnet56.onnx"), "--data",
           os.path.join(o.shared, "cifar10/test.tar.gz:part=0/5"), *CIFAR10.split(), "--cost", "macs", "--no-tune", "--threads",
           str(o.threads), *flags.format(shared=o.shared, exits=exits, count=exits.count(",") + 1).split(), "-q", "--json", "-o", out)
    return out


def judge(o, model):
    """Accuracy of the gates at each budget, all of it spent."""
    lines = leenet(o, "compare", model, "--data", os.path.join(o.shared, "cifar10/test.tar.gz:not=0/5"), "--policies", "gate",
                   "--cost", "macs", "--budgets", ",".join("%.2f" % b for b in BUDGETS), "--threads", str(o.threads), "-q", "--json")
    plain = next(line["plain_accuracy"] for line in lines if line["policy"] == "oracle")
    return plain, {"%.2f" % line["budget"]: line["accuracy"] for line in lines if line.get("policy") == "gate" and line.get("budget")}


def print_row(option, plain, at, default):
    mean = 100 * (sum(at.values()) - sum(default.values())) / len(at)
    losses = " | ".join("%.2f" % (100 * (plain - at[b])) for b in ("0.50", "0.35", "0.25"))
    print("| %s | %s | %s | %+.2f |" % (option[0], "`%s`" % option[1].format(count="K") if option[1] else "", losses, mean), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--leenet", default="build/leenet")
    p.add_argument("--shared", default="../shared/data")
    p.add_argument("--work", default="build/bench")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rows", default="build/bench/options.json")
    p.add_argument("--only", nargs="*", choices=[option[0] for option in OPTIONS], metavar="NAME")
    o = p.parse_args()
    os.makedirs(o.work, exist_ok=True)
    kept = json.load(open(o.rows)) if os.path.exists(o.rows) else {}
    print("| option | | 50 % | 35 % | 25 % | mean |\n|---|---|---:|---:|---:|---:|", flush=True)
    for option in OPTIONS:
        name = option[0]
        if o.only and name not in o.only and name != "default":
            continue
        if name not in kept:
            model = train(o, option, kept.get("exits", "auto"))
            if name == "default":
                kept["exits"] = ",".join(e["name"] for e in leenet(o, "info", model, "--json")[0]["exits"])
            kept[name] = judge(o, model)
            with open(o.rows, "w") as f:
                json.dump(kept, f)
        print_row(option, *kept[name], kept["default"][1])


if __name__ == "__main__":
    main()
