"""The few commands Android has and Debian has not, put into a device's /system/bin, and its empty directories."""

from __future__ import annotations

import os
import sys

SHELL_UID = 2000
SEARCH_PATH = "/system/bin:/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin"
PROPERTIES = "/dev/__properties__"  # one file a property, named after it

GETPROP = f"""#!/bin/sh
# getprop [NAME [DEFAULT]]
cd {PROPERTIES} || exit 1
if [ $# = 0 ]; then
    for name in *; do
        [ -f "$name" ] && printf '[%s]: [%s]\\n' "$name" "$(cat "$name")"
    done
    exit 0
fi
case $1 in
*[!A-Za-z0-9._:@-]* | '' | . | ..) printf '%s\\n' "$2" ;;
*) if [ -f "$1" ]; then cat "$1"; echo; else printf '%s\\n' "$2"; fi ;;
esac
"""
SETPROP = f"""#!/bin/sh
# setprop NAME VALUE
[ $# = 2 ] || {{ echo 'usage: setprop NAME VALUE' >&2; exit 1; }}
cd {PROPERTIES} || exit 1
case $1 in
*[!A-Za-z0-9._:@-]* | '' | .*) echo "setprop: bad property name" >&2; exit 1 ;;
ro.*) [ -e "$1" ] && {{ echo "setprop: $1 is read-only" >&2; exit 1; }} ;;
esac
printf %s "$2" >".$1.$$" && mv -f ".$1.$$" "$1"
"""
# ADBD_UID: whom a device claims to be where this machine gives it one user only.
ID = """#!/bin/sh
[ -n "$ADBD_UID" ] || exec /usr/bin/id "$@"
case "$*" in
-u | -g | -G | -ru | -rg) echo "$ADBD_UID" ;;
-un | -gn | -nu) echo shell ;;
*) echo "uid=$ADBD_UID(shell) gid=$ADBD_UID(shell) groups=$ADBD_UID(shell)" ;;
esac
"""
# The kind decides which spelling it takes: ADBD_SU is `magisk` (su -c CMD) or `userdebug` (su 0 CMD...).
SU = """#!/bin/sh
become() {
    if [ -n "$ADBD_UID" ]; then unset ADBD_UID; exec "$@"; fi
    [ "$(/usr/bin/id -u)" = 0 ] && exec "$@"
    exec /usr/bin/setpriv --reuid=0 --regid=0 --clear-groups --inh-caps=-all -- "$@"
}
case $ADBD_SU in
magisk)
    case $1 in
    -c) shift; become /system/bin/sh -c "$*" ;;
    '') become /system/bin/sh ;;
    esac
    echo "su: unknown user $1" >&2; exit 1 ;;
userdebug)
    case $1 in
    0 | root) shift; [ $# = 0 ] && set -- /system/bin/sh; become "$@" ;;
    esac
    echo "su: invalid uid/gid '$1'" >&2; exit 1 ;;
esac
echo "su: not found" >&2
exit 127
"""
RESTORECON = """#!/bin/sh
exit 0
"""
COMMANDS = {"getprop": GETPROP, "setprop": SETPROP, "id": ID, "su": SU, "restorecon": RESTORECON}
PASSWD = f"root:x:0:0::/:/system/bin/sh\nshell:x:{SHELL_UID}:{SHELL_UID}::/:/system/bin/sh\n"
GROUP = f"root:x:0:\nshell:x:{SHELL_UID}:\n"


def install(root: str) -> None:
    """Make a device's directories and commands under `root`; what is right already stays."""
    for path, mode in (("data/local/tmp", 0o771), ("data/adb", 0o700), ("system/bin", 0o755), ("etc", 0o755)):
        place = os.path.join(root, path)
        os.makedirs(place, exist_ok=True)
        os.chmod(place, mode)
    if os.geteuid() == 0:
        try:
            os.chown(os.path.join(root, "data/local/tmp"), SHELL_UID, SHELL_UID)
            os.chmod(os.path.join(root, "data"), 0o771)
        except OSError:
            pass  # a user namespace with one user
    for name, text in COMMANDS.items():
        _write(os.path.join(root, "system/bin", name), text, 0o755)
    _write(os.path.join(root, "etc/passwd"), PASSWD, 0o644)
    _write(os.path.join(root, "etc/group"), GROUP, 0o644)
    python = os.path.join(sys.base_prefix, "bin", f"python3.{sys.version_info[1]}")
    for name, target in (("sh", "/bin/sh"), ("python3", python)):
        place = os.path.join(root, "system/bin", name)
        if not os.path.islink(place) or os.readlink(place) != target:
            if os.path.lexists(place):
                os.unlink(place)
            os.symlink(target, place)


def _write(path: str, text: str, mode: int) -> None:
    try:
        with open(path) as file:
            if file.read() == text:
                return
    except OSError:
        pass
    with open(path + ".new", "w") as file:
        file.write(text)
    os.chmod(path + ".new", mode)
    os.replace(path + ".new", path)
