/* Touches pages of a mapped file at random for ever: with a memory limit below the file's size, file thrashing.
 *
 * thrash FILE SEED CGROUP_PROCS...
 * Dies with the program that started it.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    volatile const char *pages;
    struct stat status;
    uint64_t state;
    int fd, group;

    if (argc < 3)
        return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (group = 3; group < argc; group++) {
        fd = open(argv[group], O_WRONLY);
        if (fd < 0 || write(fd, "0", 1) < 0) {
            perror(argv[group]);
            return 1;
        }
        close(fd);
    }
    fd = open(argv[1], O_RDONLY);
    if (fd < 0 || fstat(fd, &status)) {
        perror(argv[1]);
        return 1;
    }
    pages = mmap(NULL, status.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (pages == MAP_FAILED)
        return 1;
    madvise((void *)pages, status.st_size, MADV_RANDOM);
    state = strtoull(argv[2], NULL, 10) * 2654435761u + 1;
    for (;;) {
        state = state * 6364136223846793005u + 1442695040888963407u; /* Knuth's LCG */
        (void)pages[(state >> 33) % (status.st_size / 4096) * 4096];
    }
}
