"""What restic is told to do, in the shell of its image. Nothing secret is in them, nor in their arguments.

https://restic.readthedocs.io/en/v0.18.1/075_scripting.html has the exit codes: 10 there is no repository, 12 the password is
another. A repository is read without a lock (nothing of ours is ever rewritten there but by `forget`, which locks it).
"""

from __future__ import annotations

from typing import Final

WORK: Final = "/stateward/backup"
HOPELESS: Final = (12, 13)
"""Exit codes that no further try helps against: the password is another, the destination is full."""

_BEGIN: Final = """\
set -eu
umask 077
cd "$WORK"
list() {
  restic snapshots --no-lock --json "$@" > snapshots.json
  tr '{' '\\n' < snapshots.json | sed -n 's/.*"id":"\\([0-9a-f]\\{64\\}\\)".*/\\1/p' > ids
}
opened() {
  code=0
  restic cat config > /dev/null 2> opened || code=$?
  if [ "$code" = 12 ]; then
    echo "the password in the Secret $SECRET does not open the repository; give the one that it was made with" >&2
    exit 12
  fi
  if [ "$code" != 0 ] && [ "$code" != 10 ]; then cat opened >&2; exit "$code"; fi
}
"""

OPEN: Final = f"""\
{_BEGIN}
mkdir -p dump
opened
if [ "$code" = 10 ]; then restic init --quiet; fi
"""
"""Before anything is dumped: a password that is wrong is found out here."""

STORE: Final = f"""\
{_BEGIN}
restic unlock --quiet
list --tag "$TAG"
if [ ! -s ids ]; then
  printf '%s' "$METADATA" > metadata.json
  restic backup --quiet --retry-lock 10m --host "$HOST" --tag "$TAG" --tag "$TAGS" dump metadata.json 2> told &
  writes=$!
  while kill -0 "$writes" 2> /dev/null; do
    if grep -q -i -e 'no space left' -e 'quota exceeded' told; then
      kill -INT "$writes"
      wait "$writes" || true
      echo "the destination is full; make it larger, or keep less" >&2
      exit 13
    fi
    sleep 1
  done
  wait "$writes" || {{ code=$?; cat told >&2; exit "$code"; }}
  list --tag "$TAG"
fi
id=$(head -n 1 ids)
restic check --no-lock --quiet
restic dump --no-lock --archive tar "$id" / > /dev/null
size=$(restic stats --no-lock --json --mode raw-data "$id" | sed -n 's/.*"total_size":\\([0-9]*\\).*/\\1/p')
printf '{{"snapshot":"%s","size":%s}}' "$id" "${{size:-0}}" > /dev/termination-log
"""
"""Writes, or finds what an earlier try has written; then reads every block of it back, which is checked by its hash.

Where there is no room restic tries again for a quarter of an hour: it is stopped, and that is said at once.
"""

INSPECT: Final = f"""\
{_BEGIN}
opened
if [ "$code" = 10 ]; then echo "there is no repository at the destination" >&2; exit 1; fi
list "$SNAPSHOT"
if [ ! -s ids ]; then echo "there is no backup $SNAPSHOT in the repository" >&2; exit 1; fi
id=$(head -n 1 ids)
restic dump --no-lock "$id" /metadata.json > metadata.json
printf '%s %s' "$id" "$(gzip -9 -c metadata.json | base64 | tr -d '\\n')" > /dev/termination-log
"""

FETCH: Final = f"""\
{_BEGIN}
find "$DATA" ${{WAL:+"$WAL"}} -mindepth 1 -maxdepth 1 ! -name lost+found -exec rm -rf {{}} +
rm -rf dump
mkdir dump
restic restore --no-lock --quiet --verify --target dump "$SNAPSHOT:/dump"
"""
"""The claim is the restore's own until it is filled: what an earlier try has left there goes first."""

WIPE: Final = """\
set -eu
find "$DATA" ${WAL:+"$WAL"} -mindepth 1 -maxdepth 1 ! -name lost+found -exec rm -rf {} +
"""
"""What an earlier try has left on the claim."""

FORGET: Final = f"""\
{_BEGIN}
opened
if [ "$code" = 10 ]; then exit 0; fi
restic unlock --quiet
list --tag "$TAG"
if [ -s ids ]; then restic forget --quiet --retry-lock 40m --prune $(cat ids); fi
"""
"""A lock of a pod that was killed goes stale after half an hour: it is waited for that long."""
