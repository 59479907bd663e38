#!/usr/bin/env bash
# One training by one process of one thread against several that train together: wall seconds for a codec and for a prior
# whose batches have eight micro-batches, in turn RUNS times. All must end with the same network.
#
# REFRAIN names the program, by default it is built. Usage: RUNS=3 PROCESSES="1 2" benches/together/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ -z "${REFRAIN:-}" ]; then
    cargo build --release -q --workspace --bin refrain
    export REFRAIN="$PWD/${CARGO_TARGET_DIR:-target}/release/refrain"
fi
exec "${PYTHON:-python3}" benches/together/run.py "${RUNS:-3}" ${PROCESSES:-1 2}
