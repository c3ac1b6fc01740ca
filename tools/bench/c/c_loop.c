/* The yardstick: what a C program needs for the same wake-ups, the same reads and a like decision.
 *
 * c_loop PRESSURE_DIR PSI_DIR THRASHING_PCT FILE...
 * PRESSURE_DIR is the v1 memory cgroup (vmpressure and oom_control events), PSI_DIR its v2 twin. Every FILE is read
 * and every number in it parsed at each wake-up, from descriptors opened once. Standard input: "+PID ADJ" and "-PID"
 * lines. It strikes the most expendable process when the group is in reclaim and THRASHING_PCT of its file pages
 * were refaulted since the last strike. It is locked in memory, SCHED_FIFO, opens nothing on the way and writes no word.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448
#endif
#define ROWS 4096
#define FILES 16
#define NUMBERS 256
#define RECORD 1024
#define RING 512
#define ACTIVE_MS 1000 /* lmkd polls for this long after an event ... */
#define POLL_MS 100    /* ... at this pace */

struct row {
    int pid, adj, pidfd, adj_fd, statm_fd;
};

static struct row rows[ROWS];
static int file_fds[FILES], files;
static const char *names[FILES];
static long long numbers[FILES][NUMBERS];
static int counts[FILES];
static char buffer[65536];
static char *ring;
static unsigned long long written;

static long long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Every decimal number of a text, in order. */
static int parse(const char *text, int length, long long *into)
{
    int at = 0, found = 0;

    while (at < length && found < NUMBERS) {
        long long value = 0;

        if (text[at] < '0' || text[at] > '9') {
            at++;
            continue;
        }
        while (at < length && text[at] >= '0' && text[at] <= '9')
            value = value * 10 + (text[at++] - '0');
        into[found++] = value;
    }
    return found;
}

/* The number behind a key at the start of a line, or behind "key=" anywhere; -1 if there is none. */
static long long keyed(const char *text, int length, const char *key)
{
    int size = strlen(key), at = 0;

    while (at + size < length) {
        if (!memcmp(text + at, key, size) && (text[at + size] == ' ' || text[at + size] == '='))
            return atoll(text + at + size + 1);
        while (at < length && text[at] != '\n')
            at++;
        at++;
    }
    return -1;
}

static void forget(struct row *row)
{
    close(row->pidfd);
    close(row->adj_fd);
    close(row->statm_fd);
    row->pid = 0;
}

static void add(int pid, int adj)
{
    char path[64];
    int at;

    for (at = 0; at < ROWS && rows[at].pid; at++)
        ;
    if (at == ROWS)
        return;
    rows[at].pidfd = syscall(SYS_pidfd_open, pid, 0);
    if (rows[at].pidfd < 0)
        return;
    snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
    rows[at].adj_fd = open(path, O_RDONLY);
    snprintf(path, sizeof(path), "/proc/%d/statm", pid);
    rows[at].statm_fd = open(path, O_RDONLY);
    rows[at].pid = pid;
    rows[at].adj = adj;
    if (pread(rows[at].statm_fd, buffer, 256, 0) < 0)
        forget(&rows[at]);
}

static void registrations(void)
{
    static char line[65536];
    static int used;
    int got, start = 0, at;

    got = read(0, line + used, sizeof(line) - used);
    if (got <= 0)
        exit(0);
    used += got;
    for (at = 0; at < used; at++) {
        int pid, adj = 0, row;

        if (line[at] != '\n')
            continue;
        line[at] = 0;
        pid = atoi(line + start + 1);
        if (line[start] == '+') {
            char *space = strchr(line + start, ' ');

            adj = space ? atoi(space) : 0;
            add(pid, adj);
        } else {
            for (row = 0; row < ROWS; row++)
                if (rows[row].pid == pid)
                    forget(&rows[row]);
        }
        start = at + 1;
    }
    memmove(line, line + start, used - start);
    used -= start;
}

static int event(const char *dir, const char *file, const char *level)
{
    char path[4096], text[256];
    int fd = eventfd(0, EFD_NONBLOCK), watched, control;

    snprintf(path, sizeof(path), "%s/%s", dir, file);
    watched = open(path, O_RDONLY);
    snprintf(path, sizeof(path), "%s/cgroup.event_control", dir);
    control = open(path, O_WRONLY);
    snprintf(text, sizeof(text), "%d %d %s", fd, watched, level);
    if (watched < 0 || control < 0 || write(control, text, strlen(text)) < 0) {
        perror(path);
        exit(1);
    }
    close(control);
    return fd;
}

static int psi(const char *dir, const char *trigger)
{
    char path[4096];
    int fd;

    snprintf(path, sizeof(path), "%s/memory.pressure", dir);
    fd = open(path, O_RDWR | O_NONBLOCK);
    if (fd < 0 || write(fd, trigger, strlen(trigger) + 1) < 0) /* the NUL belongs to it */
        return -1;
    return fd;
}

static int strike(void)
{
    struct pollfd dead = {.events = POLLIN};
    struct row *best;
    int at;

    for (;;) {
        best = NULL;
        for (at = 0; at < ROWS; at++)
            if (rows[at].pid && (!best || rows[at].adj > best->adj))
                best = &rows[at];
        if (!best)
            return -1;
        dead.fd = best->pidfd;
        if (poll(&dead, 1, 0) == 0 && pread(best->adj_fd, buffer, 64, 0) > 0 && atoi(buffer) >= 0 &&
            pread(best->statm_fd, buffer, 256, 0) > 0 &&
            syscall(SYS_pidfd_send_signal, best->pidfd, SIGKILL, NULL, 0) == 0)
            return best - rows;
        forget(best);
    }
}

int main(int argc, char **argv)
{
    struct pollfd fds[8];
    struct sysinfo host;
    struct sched_param fifo = {.sched_priority = 10};
    long long active_until = 0, base_refault = -1, base_failcnt = -1;
    int count = 0, at, limit, awaited = -1;

    if (argc < 5)
        return 2;
    limit = atoi(argv[3]);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (at = 4; at < argc && files < FILES; at++, files++) {
        names[files] = argv[at];
        file_fds[files] = open(argv[at], O_RDONLY);
        if (file_fds[files] < 0 || pread(file_fds[files], buffer, sizeof(buffer), 0) < 0) {
            perror(argv[at]);
            return 1;
        }
    }
    fds[count++].fd = 0;
    fds[count++].fd = -1; /* the victim whose death is awaited */
    fds[count++].fd = event(argv[1], "memory.pressure_level", "low");
    fds[count++].fd = event(argv[1], "memory.pressure_level", "medium");
    fds[count++].fd = event(argv[1], "memory.pressure_level", "critical");
    fds[count++].fd = event(argv[1], "memory.oom_control", "");
    fds[count++].fd = psi(argv[2], "some 140000 2000000");
    fds[count++].fd = psi(argv[2], "full 1400000 2000000");
    for (at = 0; at < count; at++)
        fds[at].events = at < 6 ? POLLIN : POLLPRI;
    ring = mmap(NULL, RING * RECORD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (mlockall(MCL_CURRENT | MCL_FUTURE) || sched_setscheduler(0, SCHED_FIFO, &fifo)) {
        perror("locked and SCHED_FIFO");
        return 1;
    }
    printf("armed\n");
    fflush(stdout);
    for (;;) {
        int ready = poll(fds, count, now_ms() < active_until ? POLL_MS : -1), due;
        long long refault = 0, failcnt = 0, file_pages = 0, value;
        unsigned long long drained;

        due = ready == 0;
        for (at = 2; ready > 0 && at < count; at++)
            if (fds[at].revents) {
                due = 1;
                active_until = now_ms() + ACTIVE_MS;
                if (at < 6 && read(fds[at].fd, &drained, sizeof(drained)) < 0 && errno != EAGAIN)
                    return 1;
            }
        if (ready > 0 && fds[0].revents)
            registrations();
        if (ready > 0 && fds[1].revents && awaited >= 0) {
            forget(&rows[awaited]);
            fds[1].fd = awaited = -1;
            due = 1;
        }
        if (!due || awaited >= 0)
            continue;
        if (sysinfo(&host)) /* RAM and swap of the host */
            return 1;
        for (at = 0; at < files; at++) {
            int length = pread(file_fds[at], buffer, sizeof(buffer) - 1, 0);

            if (length < 0)
                return 1;
            buffer[length] = 0;
            counts[at] = parse(buffer, length, numbers[at]);
            if ((value = keyed(buffer, length, "workingset_refault_file")) >= 0)
                refault = value;
            if ((value = keyed(buffer, length, "hierarchical_file")) >= 0)
                file_pages = value;
            if (strstr(names[at], "failcnt"))
                failcnt = numbers[at][0];
        }
        if (base_refault < 0) {
            base_refault = refault;
            base_failcnt = failcnt;
        }
        if (failcnt > base_failcnt && (refault - base_refault) * 100 > file_pages * limit && (awaited = strike()) >= 0) {
            char *record = ring + written++ % RING * RECORD;

            for (at = 0; at < files; at++)
                memcpy(record + at * 32, numbers[at], 32);
            fds[1].fd = rows[awaited].pidfd;
            base_refault = refault;
            base_failcnt = failcnt;
            syscall(SYS_process_mrelease, rows[awaited].pidfd, 0);
        }
    }
}
