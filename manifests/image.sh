#!/bin/sh
# Lays what the image holds into a folder that is its root: in /opt/stateward this repository's wheel with what it needs,
# and a launcher. Run it with the Python that the image has; the Dockerfile does the same.
# usage: image.sh FOLDER [PYTHON]
set -eu
root=$1
python=${2:-python3}
here=$(cd "$(dirname "$0")/.." && pwd)
app=$root/opt/stateward
wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
rm -rf "$app"
mkdir -p "$app/bin"
"$python" -m pip wheel --quiet --no-deps --wheel-dir "$wheels" "$here"
wheel=$(echo "$wheels"/*.whl)
"$python" -m pip install --quiet --no-compile --target "$app/lib" "$wheel[serve]"
# Once, here: a root that is read-only keeps none, and each start would compile everything.
"$python" -m compileall -q -s "$root" "$app/lib" > /dev/null || true
rm -rf "$app/lib/bin"
cat > "$app/bin/stateward" << 'PYTHON'
#!/usr/bin/env python3
import sys

sys.path[0] = "/opt/stateward/lib"
from stateward.cli.main import main

main()
PYTHON
chmod -R a+rX "$root/opt"
chmod 755 "$app/bin/stateward"
