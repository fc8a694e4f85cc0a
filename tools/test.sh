#!/usr/bin/env bash
# All checks, in the order in which a fault is cheapest to find. A failing step stops the run and is named.
# Notebooks and tests run in two processes each.
# pytest comes last, so the last line is its own summary. No step changes a tracked file.
set -euo pipefail
cd "$(dirname "$0")/.."

export HF_HUB_OFFLINE=1              # no test may depend on a network
export OMP_NUM_THREADS=1             # small tensors: more threads cost more than they give
export TOKENIZERS_PARALLELISM=false
unset IN_TEST                        # with it set, nbdev_export does nothing and says nothing

step() {
    local name=$1 start=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    "$@" || { printf '\nFAILED: %s (%s)\n' "$name" "$*" >&2; exit 1; }
    printf -- '-- %s: %d s\n' "$name" $((SECONDS - start))
}

step "notebooks are clean, modules are what they export" python tools/generated.py
step "ruff: names, faults, white space, 100 columns" ruff check .
step "README.md is in step with nbs/index.ipynb" python tools/readme.py --check
step "notebooks run" nbdev_test --n_workers 2 --do_print --timing
step "documentation builds" python tools/docs.py

printf '\n== pytest\n'
python -m pytest -q -n 2 --dist worksteal  # each begins with one half, file by file; who has finished helps the other
