#!/bin/sh
# A plane that notes its start and its end in `log`, and ends on SIGTERM.
name=$(basename "$0")
cd "$(dirname "$0")" || exit 1
trap 'echo "$name ends" >> log; exit 0' TERM
echo "$name starts $*" >> log
while :; do sleep 0.02; done
