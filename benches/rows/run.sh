#!/usr/bin/env bash
# A table of ROWS rows, metadata alone: license policy, exact dedup by the table's digests, split. From nothing, again with
# nothing changed, and with one row changed, by one and by two workers: wall and CPU seconds, peak memory in MB. Then
# `watch`: seconds from feeding a change until the last row that rests on it is there, and from saving it until it is published.
# Before all that, `plan` of a pipeline from the table to shards of which nothing is decoded, as in a first run.
#
# REFRAIN names the program, by default it is built. Usage: ROWS=1000000 FORMAT=parquet|csv benches/rows/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD
ROWS=${ROWS:-1000000} FORMAT=${FORMAT:-csv} PYTHON=${PYTHON:-python3}
if [ -z "${REFRAIN:-}" ]; then
    cargo build --release -q --workspace --bin refrain
    REFRAIN="$here/${CARGO_TARGET_DIR:-target}/release/refrain"
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"$PYTHON" "$here/benches/rows/make.py" "$ROWS" "$FORMAT"
measure() {
    local label=$1
    shift
    "$PYTHON" - "$label" "$REFRAIN" "$@" <<'PY'
import json, resource, subprocess, sys, time
label, command = sys.argv[1], sys.argv[2:]
started = time.monotonic()
out = subprocess.run(command, capture_output=True, text=True)
wall = time.monotonic() - started
if out.returncode:
    sys.exit(out.stderr)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
told = out.stdout.splitlines()[-1]
if command[1] == "run":
    stages = json.loads(told)["stages"]
    told = " ".join(f"{name} {s['kept']}+{s['dropped']}" for name, s in stages.items())
print(f"{label:<28} wall {wall:6.2f}  cpu {used.ru_utime + used.ru_stime:6.2f}  peak {used.ru_maxrss / 1024:6.0f}  {told}")
PY
}
for w in 1 2; do
    measure "-w $w, plan, nothing decoded" plan full.toml -w "$w" --store store-plan
done
for w in 1 2; do
    measure "-w $w, from nothing" run rows.toml -w "$w" --json --store "store-$w"
    measure "-w $w, nothing changed" run rows.toml -w "$w" --json --store "store-$w"
done
"$PYTHON" "$here/benches/rows/make.py" change "$FORMAT"
measure "-w 2, one license changed" run rows.toml -w 2 --json --store store-2
"$PYTHON" "$here/benches/rows/watch.py" "$REFRAIN" "$FORMAT" store-2
