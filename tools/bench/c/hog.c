/* A process that grows by KIB at once, when told so: the step of a step response.
 *
 * hog KIB CGROUP_PROCS...
 * Joins the cgroups, prints "ready", waits for a byte on standard input, touches KIB and sleeps.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    long size, at;
    char *memory, told;
    int group;

    if (argc < 2)
        return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (group = 2; group < argc; group++) {
        int fd = open(argv[group], O_WRONLY);

        if (fd < 0 || write(fd, "0", 1) < 0) {
            perror(argv[group]);
            return 1;
        }
        close(fd);
    }
    size = atol(argv[1]) * 1024;
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || madvise(memory, size, MADV_NOHUGEPAGE))
        return 1;
    puts("ready");
    fflush(stdout);
    if (read(0, &told, 1) != 1)
        return 0;
    for (at = 0; at < size; at += 4096)
        memory[at] = 1;
    for (;;)
        pause();
}
