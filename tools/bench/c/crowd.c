/* Many small processes that are there to be killed: each is replaced as soon as it dies.
 *
 * crowd COUNT KIB LOWEST_ADJ HIGHEST_ADJ CGROUP_PROCS...
 * Every process joins the cgroups, takes an oom_score_adj from the range in turn, touches KIB and sleeps. Lines on
 * standard output: "+PID ADJ" when it is ready, "-PID" when it is dead. They all die with this program.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);

    if (fd < 0 || write(fd, text, strlen(text)) < 0) {
        perror(path);
        _exit(1);
    }
    close(fd);
}

static pid_t spawn(long kib, int adj, char **groups)
{
    pid_t pid = fork();
    char text[64];
    char *memory;
    long at;

    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "bench_victim");
    snprintf(text, sizeof(text), "%d", adj);
    put("/proc/self/oom_score_adj", text);
    for (; *groups; groups++)
        put(*groups, "0");
    memory = mmap(NULL, kib * 1024, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (at = 0; at < kib * 1024; at += 4096)
        memory[at] = 1;
    at = snprintf(text, sizeof(text), "+%d %d\n", getpid(), adj);
    if (write(1, text, at) != at)
        _exit(1);
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    int count, lowest, highest, started = 0;
    char text[32];
    long kib;

    if (argc < 5)
        return 2;
    count = atoi(argv[1]);
    kib = atol(argv[2]);
    lowest = atoi(argv[3]);
    highest = atoi(argv[4]);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (; started < count; started++)
        if (spawn(kib, lowest + started % (highest - lowest + 1), argv + 5) < 0)
            return 1;
    for (;;) {
        pid_t dead = wait(NULL);
        int length;

        if (dead < 0 && errno == EINTR)
            continue;
        if (dead < 0)
            return 1;
        length = snprintf(text, sizeof(text), "-%d\n", dead);
        if (write(1, text, length) != length)
            return 0;
        usleep(2000); /* where they cannot come up because memory is out, do not take the processor too */
        if (spawn(kib, lowest + started++ % (highest - lowest + 1), argv + 5) < 0)
            return 1;
    }
}
