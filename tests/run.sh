#!/usr/bin/env bash
# `make test`: a browser if there is none yet, then the suite, its dearest files first (tests/order.py). The order of tests
# in a file, what `random` gives them and the order of sets are the same each time: TEST_SEED, a number, or "default" for a
# new one each time, chooses another, and PYTHONHASHSEED=random another order of sets.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null && [ -z "${COSTHUB_CHROMIUM:-}" ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
  else
    echo "No Chromium found: install it, or name one in COSTHUB_CHROMIUM. The browser tests will fail without it." >&2
  fi
fi
export PYTHONHASHSEED="${PYTHONHASHSEED:-0}"
exec "${VENV:-.venv}/bin/python" -m pytest -m "not soak" --randomly-seed="${TEST_SEED:-1}" -n "${TEST_PROCESSES:-4}" --dist loadfile --no-loadscope-reorder -rs \
  -o console_output_style=classic --durations=25 --durations-min=1 "$@"
