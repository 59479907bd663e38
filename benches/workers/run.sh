#!/usr/bin/env bash
# One worker against two on a build that decodes and encodes: wall time in seconds, the least of RUNS runs in turn, each
# into an empty store. The published trees must be the same.
#
# MODEL is a bundle, such as .refrain/runs/latest/model of the quickstart. REFRAIN names the program, by default it is
# built. Usage: MODEL=DIR PIECES=24 RUNS=3 benches/workers/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${MODEL:?names a bundle}"
RUNS=${RUNS:-3} PIECES=${PIECES:-24}
if [ -z "${REFRAIN:-}" ]; then
    cargo build --release -q --workspace --bin refrain
    REFRAIN="$PWD/${CARGO_TARGET_DIR:-target}/release/refrain"
fi
model=$(cd "$MODEL" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/build.toml" <<TOML
edition = 1
name    = "workers"
seed    = 17

[stage.tracks]
do     = "ingest"
corpus = "synth"
pieces = $PIECES

[stage.decoded]
do   = "decode"
from = ["tracks"]

[stage.mono]
do   = "resample"
from = ["decoded"]

[stage.parts]
do   = "split"
from = ["mono"]

[stage.clips]
do      = "segment"
from    = ["parts"]
seconds = 4.0

[stage.codec]
do   = "weights"
file = "$model/codec.safetensors"

[stage.codes]
do   = "encode"
from = ["clips", "codec"]

[stage.shards]
do   = "shard"
from = ["codes"]
TOML
TIMEFORMAT=%R
declare -A least=([1]=9999 [2]=9999)
for _ in $(seq "$RUNS"); do
    for w in 1 2; do
        rm -rf "$folder/store-$w"
        { time "$REFRAIN" run "$folder/build.toml" -w "$w" --store "$folder/store-$w" >"$folder/said" 2>&1; } 2>"$folder/time" ||
            { cat "$folder/said" >&2; exit 1; }
        least[$w]=$(awk -v a="${least[$w]}" -v b="$(cat "$folder/time")" 'BEGIN { print (b < a) ? b : a }')
    done
done
diff -r --exclude=timing.json "$folder/store-1/runs/latest/" "$folder/store-2/runs/latest/" && echo 'the published trees are the same'
echo "-w 1: ${least[1]} s, -w 2: ${least[2]} s, $(awk -v a="${least[1]}" -v b="${least[2]}" 'BEGIN { printf "%.2f", a / b }') times as fast"
