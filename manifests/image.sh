#!/bin/sh
# Lays what the image holds into a folder that is its root: this repository's wheel and what it needs in /app, and a
# launcher. Run it with the Python that the image has; the Dockerfile does the same.
# usage: image.sh FOLDER [PYTHON]
set -eu
root=$1
python=${2:-python3}
here=$(cd "$(dirname "$0")/.." && pwd)
wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
rm -rf "$root/app"
mkdir -p "$root/app"
"$python" -m pip wheel --quiet --no-deps --wheel-dir "$wheels" "$here"
wheel=$(echo "$wheels"/*.whl)
"$python" -m pip install --quiet --no-compile --target "$root/app/lib" "$wheel[serve]"
# Once, here: a root that is read-only keeps none, and each start would compile everything.
"$python" -m compileall -q -s "$root" "$root/app/lib" > /dev/null || true
rm -rf "$root/app/lib/bin"
cat > "$root/app/stateward" << 'PYTHON'
#!/usr/bin/env python3
import sys

sys.path.insert(0, "/app/lib")
from stateward.cli.main import main

main()
PYTHON
chmod -R a+rX "$root/app"
chmod 755 "$root/app/stateward"
