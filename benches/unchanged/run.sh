#!/usr/bin/env bash
# Nothing changed, and one file changed, in a folder of small files: refrain against dvc, snakemake, ninja and the map
# cache of Hugging Face datasets. CPU time (user + system) in seconds, the least of RUNS runs taken in turn.
#
# What each looks at when nothing changed: refrain and dvc decide by content, with a hint of times and sizes; snakemake
# and ninja by times; datasets by a fingerprint of the list of files, so that a changed file goes unnoticed.
#
# PYTHON names an interpreter whose environment has the rivals (pip install dvc snakemake datasets ninja); one that is
# missing is left out.
# REFRAIN names the program, by default it is built. Usage: FILES=10000 RUNS=3 benches/unchanged/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD
FILES=${FILES:-10000} RUNS=${RUNS:-3} PYTHON=${PYTHON:-python3}
if [ -z "${REFRAIN:-}" ]; then
    cargo build --release -q --workspace --bin refrain
    REFRAIN="$here/${CARGO_TARGET_DIR:-target}/release/refrain"
fi
bin=$(dirname "$("$PYTHON" -c 'import sys; print(sys.executable)')")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"$PYTHON" "$here/benches/unchanged/make.py" "$FILES"

refrain() { "$REFRAIN" run corpus.toml --store store; }
dvc() { (cd dvc && "$bin/dvc" repro -q); }
snakemake_n() { (cd snakemake && "$bin/snakemake" -n -q all); }
snakemake_run() { (cd snakemake && "$bin/snakemake" -q all -c 2); }
ninja() { (cd ninja && "$bin/ninja"); }
datasets() { "$PYTHON" "$here/benches/unchanged/hf.py" tracks cache; }

TIMEFORMAT='%U %S'
cpu() {
    if ! { time "$@" >last.txt 2>&1; } 2>time.txt; then
        echo "$* failed:" >&2
        tail -n 5 last.txt >&2
        exit 1
    fi
    awk '{ printf "%.2f", $1 + $2 }' time.txt
}
least() { awk -v a="$1" -v b="$2" 'BEGIN { print (a < b) ? a : b }'; }

tools=(refrain)
[ -x "$bin/dvc" ] && tools+=(dvc) && (cd dvc && git init -q . && "$bin/dvc" init -q)
[ -x "$bin/snakemake" ] && tools+=(snakemake_n)
[ -x "$bin/ninja" ] && tools+=(ninja)
"$PYTHON" -c 'import datasets' 2>/dev/null && tools+=(datasets)

declare -A full=() again=() changed=()
for tool in "${tools[@]}"; do
    # Of snakemake, the first build of thousands of jobs takes many minutes: the outputs are made by hand.
    [ "$tool" = snakemake_n ] && { full[$tool]=-; continue; }
    full[$tool]=$(cpu "$tool")
done
for _ in $(seq "$RUNS"); do
    for tool in "${tools[@]}"; do again[$tool]=$(least "$(cpu "$tool")" "${again[$tool]:-9999}"); done
done
"$PYTHON" "$here/benches/unchanged/make.py" change
for tool in "${tools[@]}"; do
    run=$tool
    [ "$tool" = snakemake_n ] && run=snakemake_run
    changed[$tool]=$(cpu "$run")
done

printf '%s files\n%-12s %10s %18s %8s %18s\n' "$FILES" tool first 'nothing changed' ratio 'one file changed'
for tool in "${tools[@]}"; do
    ratio=$(awk -v a="${again[refrain]}" -v b="${again[$tool]}" 'BEGIN { printf "%.3f", a / b }')
    printf '%-12s %10s %18s %8s %18s\n' "$tool" "${full[$tool]}" "${again[$tool]}" "$ratio" "${changed[$tool]}"
done
