/* What the command may use. */
#include "layers.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <time.h>

static void limit(const char *name, int resource, unsigned long unit) {
    struct rlimit found;
    char word[32] = "unlimited";
    getrlimit(resource, &found);
    if (found.rlim_max != RLIM_INFINITY)
        snprintf(word, sizeof word, "%lu", (unsigned long)found.rlim_max / unit);
    say(name, word);
}

/* Takes more memory than the limit, in a child that may be killed for it. */
static void memory(void) {
    int status, child = fork();
    if (!child) {
        size_t size = 160 << 20;
        char *taken = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (taken == MAP_FAILED)
            _exit(errno);
        for (size_t at = 0; at < size; at += 4096)
            taken[at] = 1;
        _exit(0);
    }
    waitpid(child, &status, 0);
    say("memory", WIFSIGNALED(status)     ? "killed"
                  : WEXITSTATUS(status) ? errno_name(WEXITSTATUS(status))
                                          : "ok");
}

/* Starts more processes than there may be. */
static void processes(void) {
    int ends[2], failed = 0, started = 0;
    if (pipe(ends))
        return;
    for (; started < 300 && !failed; started++) {
        int child = fork();
        if (!child) {
            char byte;
            close(ends[1]);
            _exit(read(ends[0], &byte, 1));
        }
        if (child < 0)
            failed = errno;
    }
    close(ends[0]);
    close(ends[1]);
    while (wait(0) > 0)
        ;
    say("processes", failed ? errno_name(failed) : "ok");
}

/* Keeps a processor busy and compares what it got: a tenth of one is much for a twentieth. */
static void processor(void) {
    struct timespec start, now;
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double before = used.ru_utime.tv_sec + used.ru_utime.tv_usec / 1e6;
    double passed;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
        passed = now.tv_sec - start.tv_sec + (now.tv_nsec - start.tv_nsec) / 1e9;
    } while (passed < 0.4);
    getrusage(RUSAGE_SELF, &used);
    double got = used.ru_utime.tv_sec + used.ru_utime.tv_usec / 1e6 - before;
    say("processor", got < 0.1 * passed ? "limited" : "free");
}

/* One number of a cgroup that is mounted inside, as in containers. */
static void group(const char *name, const char *first, const char *second) {
    char word[64] = "absent";
    const char *paths[] = {first, second};
    for (int i = 0; i < 2; i++) {
        FILE *file = fopen(paths[i], "r");
        if (file && fgets(word, sizeof word, file))
            word[strcspn(word, "\n")] = 0;
        if (file)
            fclose(file);
    }
    for (char *at = word; *at; at++)
        if (*at == ' ')
            *at = '/';
    say(name, word);
}

void limits(void) {
    struct statvfs found;
    char word[32];
    limit("core-size", RLIMIT_CORE, 1);
    limit("file-size", RLIMIT_FSIZE, 1 << 20);
    limit("data-size", RLIMIT_DATA, 1 << 20);
    limit("open-files", RLIMIT_NOFILE, 1);
    limit("processes-of-user", RLIMIT_NPROC, 1);
    statvfs("/tmp", &found);
    unsigned long size = found.f_blocks * found.f_frsize >> 20;
    snprintf(word, sizeof word, size < 1024 ? "%lu" : "large", size);
    say("disk-size", word);
    group("memory-group", "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max");
    group("swap-group", "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", "/sys/fs/cgroup/memory.swap.max");
    group("processes-group", "/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/pids.max");
    group("processor-group", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu.max");
    if (!outside.is_much)
        return;
    processor();
    processes();
    memory();
}
