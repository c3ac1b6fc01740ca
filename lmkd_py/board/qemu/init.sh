#!/bin/busybox sh
# The first process of a virtual board. Words of the kernel's command line: lmkd.swap_mib=N, lmkd.port=N, lmkd.android=0|1.
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox --install -s /usr/bin
export PATH=/usr/bin HOME=/ PYTHONPATH=/opt/lmkd PYTHONDONTWRITEBYTECODE=1
chmod 755 /  # the kernel makes its first tmpfs one that everybody may write to
mkdir -p /proc /sys /tmp /run /data /var /etc /dev/pts /dev/shm /dev/memcg
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devpts pts /dev/pts
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t debugfs debug /sys/kernel/debug 2>/dev/null
mount -t tracefs trace /sys/kernel/tracing 2>/dev/null
while read -r module; do insmod "$module"; done </lib/modules/order
for word in $(cat /proc/cmdline); do case $word in lmkd.*=*) export "lmkd_${word#lmkd.}";; esac; done
# What has to survive a power cut lies on the disk: Android's /data, a board's /var/lib.
mount -t ext4 /dev/vda /data || echo "board: no disk"
mkdir -p /data/lib && ln -s /data/lib /var/lib
ifconfig lo 127.0.0.1
ifconfig eth0 10.0.2.15
hostname board
[ -e /etc/passwd ] || echo 'root:x:0:0::/:/bin/sh' >/etc/passwd
# A hog larger than RAM and swap has to be let in, or there is no pressure; one page at a time comes back from zram.
echo 1 >/proc/sys/vm/overcommit_memory
echo 100 >/proc/sys/vm/swappiness
echo 0 >/proc/sys/vm/page-cluster
if [ "${lmkd_swap_mib:-0}" -gt 0 ]; then
    echo "${lmkd_swap_mib}M" >/sys/block/zram0/disksize && mkswap /dev/zram0 >/dev/null && swapon /dev/zram0
fi
if [ -x /lib/systemd/systemd ]; then
    echo "board: kernel $(uname -r), $(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo) MiB"
    exec /lib/systemd/systemd
fi
mount -t cgroup -o memory none /dev/memcg 2>/dev/null
mkdir -p /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup
if [ "$lmkd_android" = 1 ]; then
    python3 -c 'from lmkd_py.board.adbd.tools import install; install("/")' && mkdir -p /dev/__properties__
fi
# As adbd on a phone: neither it nor a shell through it is anybody's victim.
echo -1000 >/proc/self/oom_score_adj
echo "board: kernel $(uname -r), $(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo) MiB"
# Not exec: this shell stays the first process and reaps what the applications leave behind.
while :; do
    python3 -m lmkd_py.board.adbd --bare --root / --listen 10.0.2.15 --port "$lmkd_port" --name "$(hostname)" \
        --auth never --keys /adb_keys --restart-with 'reboot -f'
    echo "board: the endpoint ended with $?"
    sleep 1
done
