#!/bin/sh
# The engine where oneDNN is held to narrower vectors than the CPU has: blocks of eight channels, and our kernels for them.
. tests/lib_say.sh

for isa in AVX2 SSE41; do
    expect "engine with $isa" env ONEDNN_MAX_CPU_ISA=$isa "$B/tests/test_engine"
done
finish
