/* Attacks on how much of the machine one command may use. Each takes as much as it is told, so that
   unconfined it gets all of it and does no harm; one byte or process less is no success. */
#include "attack.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1024L * 1024L)

/* "COUNT": so many processes at once, all in one group, which is killed in the end. */
static int fork_many(const char *count) {
    int left;
    for (left = atoi(count); left > 0; left--) {
        pid_t child = fork();
        if (child < 0)
            return refused_at("fork");
        if (child == 0) {
            pause();
            _exit(0);
        }
    }
    return 0;
}

static void *wait_long(void *unused) {
    pause();
    return unused;
}

/* "COUNT": so many threads at once. */
static int start_threads(const char *count) {
    pthread_attr_t small;
    int left;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    for (left = atoi(count); left > 0; left--) {
        pthread_t thread;
        int error = pthread_create(&thread, &small, wait_long, NULL);
        if (error) {
            errno = error;
            return refused_at("clone");
        }
    }
    return 0;
}

/* "COUNT": one file so many times at once. */
static int open_many(const char *count) {
    struct rlimit limits;
    int left;
    if (getrlimit(RLIMIT_NOFILE, &limits) < 0)
        return broken_at("prlimit64");
    limits.rlim_cur = limits.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limits) < 0)
        return refused_at("prlimit64");
    for (left = atoi(count); left > 0; left--)
        if (open("/dev/null", O_RDONLY) < 0)
            return refused_at("openat");
    return 0;
}

static int touch_all(char *bytes, long size, const char *call) {
    long at;
    if (bytes == MAP_FAILED)
        return refused_at(call);
    for (at = 0; at < size; at += 4096)
        bytes[at] = 1;
    return 0;
}

/* "MEBIBYTES" of heap, each page used. */
static int use_memory(const char *mebibytes) {
    long size = atol(mebibytes) * MIB;
    void *bytes = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return touch_all(bytes, size, "mmap");
}

static int has_lost_a_child(void) {
    int status;
    if (waitpid(-1, &status, WNOHANG) <= 0)
        return 0;
    errno = ENOMEM;
    return 1;
}

/* "MEBIBYTES": as much in all, by children of which each takes a sixteenth. */
static int use_memory_in_children(const char *mebibytes) {
    char part[32];
    int i, answered = 0, ended[2];
    snprintf(part, sizeof part, "%ld", atol(mebibytes) / 16);
    if (pipe(ended) < 0)
        return broken_at("pipe");
    for (i = 0; i < 16; i++) {
        pid_t child = fork();
        if (child < 0)
            return refused_at("fork");
        if (child == 0) {
            char byte = (char)use_memory(part);
            if (write(ended[1], &byte, 1) == 1)
                pause();
            _exit(0);
        }
    }
    while (answered < 16) {
        fd_set set;
        struct timeval moment = {0, 5000};
        char byte;
        if (has_lost_a_child())
            return refused_at("a child, which was killed");
        FD_ZERO(&set);
        FD_SET(ended[0], &set);
        if (select(ended[0] + 1, &set, NULL, NULL, &moment) != 1)
            continue;
        if (read(ended[0], &byte, 1) != 1)
            return broken_at("read");
        if (byte) {
            errno = ENOMEM;
            return refused_at("mmap");
        }
        answered++;
    }
    /* Who is killed for another's memory dies in its own time. */
    usleep(100000);
    return has_lost_a_child() ? refused_at("a child, which was killed") : 0;
}

/* "MEBIBYTES" in memory that children would share. */
static int use_shared_memory(const char *mebibytes) {
    long size = atol(mebibytes) * MIB;
    int flags = MAP_SHARED | MAP_ANONYMOUS;
    return touch_all(mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, flags, -1, 0), size, "mmap");
}

/* "MEBIBYTES" in a file that has no name. */
static int use_memory_file(const char *mebibytes) {
    long size = atol(mebibytes) * MIB;
    int file = memfd_create("bomb", 0);
    if (file < 0)
        return refused_at("memfd_create");
    signal(SIGXFSZ, SIG_IGN);
    if (ftruncate(file, size) < 0)
        return refused_at("ftruncate");
    return touch_all(mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), size, "mmap");
}

static int fill(const char *path, long mebibytes) {
    static char block[65536];
    long left;
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    signal(SIGXFSZ, SIG_IGN);
    if (file < 0)
        return refused_at("openat");
    memset(block, 1, sizeof block);
    for (left = mebibytes * MIB; left > 0;) {
        /* One that comes to the limit writes what fits; the next one says why no more does. */
        ssize_t written = write(file, block, sizeof block);
        left -= written;
        if (written < 0) {
            int error = errno;
            unlink(path);
            errno = error;
            return refused_at("write");
        }
    }
    close(file);
    return 0;
}

/* "MEBIBYTES PATH": one file. */
static int fill_file(const char *pair) {
    int came_to = fill(rest_of(pair), atol(first_word(pair)));
    if (came_to == 0)
        unlink(rest_of(pair));
    return came_to;
}

/* "MEBIBYTES DIRECTORY": sixteen files that are as large together. */
static int fill_directory(const char *pair) {
    char path[4096];
    int i, came_to = 0;
    for (i = 0; i < 16 && came_to == 0; i++) {
        snprintf(path, sizeof path, "%s/filled-%d.txt", rest_of(pair), i);
        came_to = fill(path, atol(first_word(pair)) / 16);
    }
    for (i = 0; i < 16; i++) {
        int error = errno;
        snprintf(path, sizeof path, "%s/filled-%d.txt", rest_of(pair), i);
        unlink(path);
        errno = error;
    }
    return came_to;
}

/* "GIBIBYTES PATH": a file that is nothing but a hole. */
static int make_sparse(const char *pair) {
    int file = open(rest_of(pair), O_WRONLY | O_CREAT, 0600);
    signal(SIGXFSZ, SIG_IGN);
    if (file < 0)
        return refused_at("openat");
    if (ftruncate(file, atol(first_word(pair)) * 1024 * MIB) < 0) {
        int error = errno;
        unlink(rest_of(pair));
        errno = error;
        return refused_at("ftruncate");
    }
    unlink(rest_of(pair));
    return 0;
}

/* Leaves a process that ignores every signal it can, and turns. */
static int spin(const char *name) {
    pid_t child = fork();
    int number;
    if (child < 0)
        return refused_at("fork");
    if (child > 0)
        return 0;
    setsid();
    for (number = 1; number < 32; number++)
        signal(number, SIG_IGN);
    execl("/proc/self/exe", name, "--spin", (char *)NULL);
    _exit(1);
}

const struct attack limits_attacks[] = {
    {"fork_many", fork_many},
    {"start_threads", start_threads},
    {"open_many", open_many},
    {"use_memory", use_memory},
    {"use_memory_in_children", use_memory_in_children},
    {"use_shared_memory", use_shared_memory},
    {"use_memory_file", use_memory_file},
    {"fill_file", fill_file},
    {"fill_directory", fill_directory},
    {"make_sparse", make_sparse},
    {"spin", spin},
    {NULL, NULL},
};
