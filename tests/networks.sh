#!/bin/sh
# Whole networks against ONNX Runtime (tests/ort_compare.py). Networks: those of
# ../shared/data/models and of the folder $LN_NETWORKS.
B=${B:-build}
set --
for file in ../shared/data/models/*.onnx "${LN_NETWORKS:-/nonexistent}"/*.onnx; do
    [ -e "$file" ] && set -- "$@" "$file"
done
if [ $# = 0 ]; then
    echo "skip networks: no .onnx files in ../shared/data/models or \$LN_NETWORKS"
elif [ ! -x /usr/bin/python3 ]; then
    echo "skip networks: no python3"
else
    /usr/bin/python3 tests/ort_compare.py "$B/tests/plan_run" "$@"
fi
