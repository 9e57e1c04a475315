#!/usr/bin/env bash
# Joins the head, whose address Ray's launcher gives in RAY_HEAD_IP, and KubeRay in FQ_RAY_IP.
set -euo pipefail
source "$(dirname "$0")/env.sh"

ray stop
ulimit -n 65536 || true
head="${RAY_HEAD_IP:-${FQ_RAY_IP:-}}"
ray start --address="${head:?RAY_HEAD_IP names the head, and is not set}:6379" --disable-usage-stats
