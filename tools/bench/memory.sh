# Memory of each killer while it guards a group at rest, measured while no other Python runs: the bench has exec'ed
# itself into this script and is started again by its last line.
#
# memory.sh OUT NAME CROWD MEMINFO DAEMON_ARGUMENTS... -- EARLYOOM... -- NOHANG... -- NEXT...
# (an empty command is skipped). OUT gets one line each: label processes rss_kb pss_kb locked_kb slab_kb pythons
set -u
out=$1 name=$2 crowd=$3 meminfo=$4
shift 4
memory=/sys/fs/cgroup/memory/$name unified=/sys/fs/cgroup/unified/$name
: >"$out"

clean() {
    [ -n "${crowd_pid:-}" ] && kill -9 "$crowd_pid" 2>/dev/null
    for try in 1 2 3 4 5 6 7 8 9 10; do
        rmdir "$memory" "$unified" 2>/dev/null
        [ -d "$memory" ] || [ -d "$unified" ] || break
        sleep 0.2
    done
}
trap clean EXIT

slab() { # the least of five looks: what is cached by others for a moment does not count
    for look in 1 2 3 4 5; do
        sleep 0.5
        awk '/^Slab:/ {print $2}' /proc/meminfo
    done | sort -n | head -n 1
}

below() { # every process below one, itself included
    for pid in "$@"; do
        echo "$pid"
        below $(cat /proc/"$pid"/task/*/children 2>/dev/null)
    done
}

other_pythons() { # pids given are ours
    count=0
    for exe in /proc/[0-9]*/exe; do
        case $(readlink "$exe" 2>/dev/null) in
        *python*)
            pid=${exe%/exe} pid=${pid#/proc/}
            case " $* " in *" $pid "*) ;; *) count=$((count + 1)) ;; esac
            ;;
        esac
    done
    echo "$count"
}

report() { # label slab_before pids...
    label=$1 before=$2
    shift 2
    sleep 2
    after=$(slab)
    for pid in "$@"; do cat /proc/"$pid"/smaps_rollup; done | awk -v label="$label" -v processes=$# \
        -v slab=$((after - before)) -v pythons="$(other_pythons "$@")" \
        '/^Rss:/ {rss += $2} /^Pss:/ {pss += $2} /^Locked:/ {locked += $2}
         END {print label, processes, rss, pss, locked, slab, pythons}' >>"$out"
}

mkdir "$memory" "$unified" && echo 268435456 >"$memory/memory.limit_in_bytes"
"$crowd" 50 512 900 999 "$unified/cgroup.procs" "$memory/cgroup.procs" >/dev/null &
crowd_pid=$!
sleep 2

command=
while [ $# -gt 0 ] && [ "$1" != -- ]; do command="$command '$1'" && shift; done
shift
before=$(slab)
eval "$command >'$out.said' 2>&1 &"
daemon=$!
for try in $(seq 100); do
    grep -q '^armed' "$out.said" && break
    sleep 0.1
done
report lmkd-py "$before" $(below "$daemon")
kill "$daemon"
wait "$daemon"

for peer in earlyoom nohang; do
    command=
    while [ $# -gt 0 ] && [ "$1" != -- ]; do command="$command '$1'" && shift; done
    shift
    [ -n "$command" ] || continue
    before=$(slab)
    eval "unshare --mount --pid --fork --kill-child --mount-proc sh -c 'mount --bind \"\$1\" /proc/meminfo; shift; \"\$@\" & wait' box '$meminfo' $command >/dev/null 2>&1 &"
    box=$!
    sleep 2
    pids=
    for pid in $(below "$box"); do
        case $(tr '\0' ' ' </proc/"$pid"/cmdline) in
        unshare* | "sh -c"*) ;;
        *) pids="$pids $pid" ;;
        esac
    done
    report "$peer" "$before" $pids
    kill -9 "$box"
    wait "$box" 2>/dev/null
done
clean
trap - EXIT
exec "$@"
