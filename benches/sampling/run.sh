#!/bin/sh
# Sampling four songs with a key/value cache against PyTorch, at 1 and 2 threads, one after the other on the same machine.
# PYTHON names an interpreter that has torch (pip install torch).
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
cargo build --release --workspace --example bench_sampling
program=${CARGO_TARGET_DIR:-target}/release/examples/bench_sampling
"$python" -c 'import torch' 2>/dev/null || { echo "skipped: $python has no torch (set PYTHON)"; exit 0; }
for size in quickstart large; do
    for threads in 1 2; do
        ours=$(RAYON_NUM_THREADS=$threads "$program" "$size" 1)
        theirs=$(OMP_NUM_THREADS=$threads "$python" benches/sampling/sample.py "$size" 1)
        printf '%s, %s thread(s)\n  %s\n  %s\n' "$size" "$threads" "$ours" "$theirs"
        printf '%s\n%s\n' "$ours" "$theirs" | awk '
            { match($0, /[0-9]+ codes\/s/); s[NR] = substr($0, RSTART, RLENGTH - 8) }
            END { printf "  ratio (ours / PyTorch): %.2f times as many codes a second\n", s[1] / s[2] }'
    done
done
