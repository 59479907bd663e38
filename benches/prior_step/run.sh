#!/bin/sh
# A training step of a prior against PyTorch, at 1 and 2 threads, one after the other on the same machine.
# PYTHON names an interpreter that has torch (pip install torch).
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
cargo build --release --workspace --example bench_prior_step
program=${CARGO_TARGET_DIR:-target}/release/examples/bench_prior_step
"$python" -c 'import torch' 2>/dev/null || { echo "skipped: $python has no torch (set PYTHON)"; exit 0; }
for prior in top bottom large; do
    for threads in 1 2; do
        ours=$(RAYON_NUM_THREADS=$threads "$program" "$prior" 7)
        theirs=$(OMP_NUM_THREADS=$threads "$python" benches/prior_step/step.py "$prior" 7)
        printf '%s thread(s)\n  %s\n  %s\n' "$threads" "$ours" "$theirs"
        printf '%s\n%s\n' "$ours" "$theirs" | awk '
            { match($0, /step [0-9.]+/); s[NR] = substr($0, RSTART + 5, RLENGTH - 5) }
            END { printf "  ratio (ours / PyTorch): %.2f\n", s[1] / s[2] }'
    done
done
