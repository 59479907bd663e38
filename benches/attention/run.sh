#!/bin/sh
# Relative attention against PyTorch by the skew, at 1 and 2 threads, one after the other on the same machine; time and memory.
# PYTHON names an interpreter that has torch (pip install torch). POSITIONS="512 2048" leaves the longest out, which wants 20 GiB.
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
cargo build --release --workspace --bench relative_attention
program=$(ls -t "${CARGO_TARGET_DIR:-target}"/release/deps/relative_attention-* | grep -v '\.d$' | head -n 1)
"$python" -c 'import torch' 2>/dev/null || { echo "skipped: $python has no torch (set PYTHON)"; exit 0; }
for positions in ${POSITIONS:-512 2048 8192}; do
    repeats=$((positions > 4096 ? 1 : 3))
    for threads in 1 2; do
        ours=$(RAYON_NUM_THREADS=$threads "$program" "$positions" "$repeats" | tail -n 1)
        theirs=$(OMP_NUM_THREADS=$threads "$python" benches/attention/attention.py "$positions" "$repeats") ||
            theirs="PyTorch: no result"
        printf '%s thread(s)\n  %s\n  %s\n' "$threads" "$ours" "$theirs"
        printf '%s\n%s\n' "$ours" "$theirs" | awk '
            { match($0, /forward [0-9.]+/); f[NR] = substr($0, RSTART + 8, RLENGTH - 8)
              match($0, /gradients [0-9.]+/); b[NR] = substr($0, RSTART + 10, RLENGTH - 10)
              match($0, /peak [0-9]+/); m[NR] = substr($0, RSTART + 5, RLENGTH - 5) }
            END { if (f[2] > 0) printf "  ratio (ours / PyTorch): forward %.2f, with gradients %.2f, memory %.2f\n",
                  f[1] / f[2], b[1] / b[2], m[1] / m[2] }'
    done
done
