#!/bin/sh
# A training step and an encoding against PyTorch, at 1 and 2 threads, one after the other on the same machine.
# PYTHON names an interpreter that has torch (pip install torch).
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
cargo build --release --workspace --example bench_codec_step
program=${CARGO_TARGET_DIR:-target}/release/examples/bench_codec_step
"$python" -c 'import torch' 2>/dev/null || { echo "skipped: $python has no torch (set PYTHON)"; exit 0; }
for size in quickstart large; do
    for threads in 1 2; do
        ours=$(RAYON_NUM_THREADS=$threads "$program" "$size" | tail -n 1)
        theirs=$(OMP_NUM_THREADS=$threads "$python" benches/codec_step/step.py "$size")
        printf '%s, %s thread(s)\n  %s\n  %s\n' "$size" "$threads" "$ours" "$theirs"
        printf '%s\n%s\n' "$ours" "$theirs" | awk '
            { match($0, /step [0-9.]+/); s[NR] = substr($0, RSTART + 5, RLENGTH - 5)
              match($0, /encode [0-9.]+/); e[NR] = substr($0, RSTART + 7, RLENGTH - 7) }
            END { printf "  ratio (ours / PyTorch): step %.2f, encode %.2f\n", s[1] / s[2], e[1] / e[2] }'
    done
done
