/* What a command is handed down: variables and descriptors. */
#include "attack.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

static int has_variable(const char *name) {
    if (getenv(name))
        return 0;
    errno = ENOENT;
    return refused_at("getenv");
}

/* Whatever name it goes by. */
static int has_value(const char *secret) {
    char **variable;
    for (variable = environ; *variable; variable++)
        if (strstr(*variable, secret))
            return 0;
    errno = ENOENT;
    return refused_at("getenv");
}

static int has_descriptor(const char *number) {
    return fcntl(atoi(number), F_GETFD) < 0 ? refused_at("fcntl") : 0;
}

/* A directory that was left open leads out of every root; see CVE-2024-21626. */
static int has_directory(const char *opened_here) {
    int number;
    /* For the control: one that is left open. */
    if (*opened_here && open(opened_here, O_RDONLY | O_DIRECTORY) < 0)
        return broken_at("openat");
    for (number = 0; number < 1024; number++) {
        char path[64];
        struct stat found;
        if (fstat(number, &found) < 0 || !S_ISDIR(found.st_mode))
            continue;
        snprintf(path, sizeof path, "/proc/self/fd/%d", number);
        if (chdir(path) == 0)
            return 0;
    }
    errno = EBADF;
    return refused_at("fstat");
}

const struct attack environment_attacks[] = {
    {"has_variable", has_variable},
    {"has_value", has_value},
    {"has_descriptor", has_descriptor},
    {"has_directory", has_directory},
    {NULL, NULL},
};
