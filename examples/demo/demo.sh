#!/bin/sh
# demo.sh DEMO FOLDER - runs the built demo on Fashion-MNIST; what it writes goes to FOLDER.
set -eu
demo=$1
folder=$2
here=$(dirname "$0")
pictures=${FASHION_MNIST:-/usr/share/datasets/fashion-mnist}

if [ ! -r "$pictures/train-images-idx3-ubyte.gz" ]; then
    echo "demo: no pictures in $pictures; install the package dataset-fashion-mnist" >&2
    exit 2
fi
mkdir -p "$folder"
"$demo" "$here/fashion_resnet.onnx" \
    "$pictures/train-images-idx3-ubyte.gz:skip=50000" \
    "$pictures/t10k-images-idx3-ubyte.gz" "$folder"
if command -v gnuplot >/dev/null; then
    gnuplot -e "folder='$folder'" "$here/tradeoff.gp"
    echo "$folder/tradeoff.svg, tradeoff.png: accuracy over cost"
fi
echo "$folder/tradeoff.csv: the table above"
