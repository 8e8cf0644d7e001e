#!/usr/bin/env bash
# The studies whose figures stand in these pages, one after another: docs/rerun.sh OUT [NAME...]
#
# Each leaves its results in OUT/NAME and what is printed of them in OUT/NAME.md. One that was
# stopped is continued by the same command; RUN holds further arguments of `study run`, for instance
# --no-ray. docs/held_out.py needs recordings that are not all here and is run by itself.
set -euo pipefail
out=$(realpath -m "${1:?docs/rerun.sh OUT [NAME...]}")
shift
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
read -ra more <<<"${RUN:-}"
mkdir -p "$out"

run() { # NAME SCENARIO ARGUMENT...
    echo "== $1" >&2
    "$python" -m study run "scenarios/$2.yaml" "${@:3}" "${more[@]}" --out "$out/$1" >&2
}

for name in ${@:-article article-uneven history history-orders assumptions cures sensitivity worn null-model}; do
    case $name in
    worn)
        run worn block-price probe.victims=off nic.receive=page-array nic.transmit=scatter-gather \
            stacks.size=4KiB clock.ageing=840s clock.measure=60s
        ;;
    assumptions) ;;
    *) run "$name" "$name" ;;
    esac
    case $name in
    article)
        "$python" docs/findings.py verdicts "$out/article" --claims docs/article-why.yaml >"$out/article-why.md"
        "$python" -m study tradeoff "$out/article" --where nic.receive=linear --where nic.transmit=linear \
            --where stacks.size=8KiB --where processes.fork_rate=20/s >"$out/tradeoff.md"
        "$python" -m study plot "$out/article" tradeoff --out "$out/figures"
        "$python" docs/findings.py verdicts "$out/article"
        ;;
    article-uneven) "$python" docs/findings.py verdicts "$out/article" "$out/article-uneven" ;;
    history)
        "$python" docs/history.py "$out/history" "$out/history.svg" >"$out/history-tables.md"
        "$python" docs/findings.py verdicts "$out/history"
        ;;
    history-orders) "$python" docs/history.py "$out/history" "$out/history.svg" "$out/history-orders" ;;
    assumptions) "$python" docs/assumptions.py ;;
    cures)
        "$python" docs/findings.py cures "$out/cures"
        "$python" docs/findings.py verdicts "$out/cures"
        ;;
    sensitivity) "$python" -m study sensitivity "$out/sensitivity" ;;
    worn) "$python" docs/wear.py "$out/worn" "$out/wear.svg" ;;
    null-model) "$python" docs/null_model.py "$out/null-model" ;;
    *) "$python" -m study summary "$out/$name" ;;
    esac >"$out/$name.md"
done
