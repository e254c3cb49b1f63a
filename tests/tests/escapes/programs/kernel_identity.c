/* Becoming somebody else. */
#include "kernel.h"

#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int become_user(const char *uid) {
    uid_t id = (uid_t)strtoul(uid, NULL, 0);
    return setresuid(id, id, id) < 0 ? refused_at("setresuid") : 0;
}

int become_group(const char *gid) {
    gid_t id = (gid_t)strtoul(gid, NULL, 0);
    return setresgid(id, id, id) < 0 ? refused_at("setresgid") : 0;
}

int become_groups(const char *gid) {
    gid_t id = (gid_t)strtoul(gid, NULL, 0);
    return setgroups(1, &id) < 0 ? refused_at("setgroups") : 0;
}

/* "21": asks for a capability (CAP_SYS_ADMIN) to be in force. */
int gain_capability(const char *number) {
    unsigned n = (unsigned)strtoul(number, NULL, 0);
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2];
    memset(sets, 0, sizeof sets);
    sets[n / 32].effective = sets[n / 32].permitted = 1U << n % 32;
    return syscall(SYS_capset, &header, sets) < 0 ? refused_at("capset") : 0;
}

int is_root(const char *argument) {
    (void)argument;
    if (geteuid() == 0)
        return 0;
    errno = EPERM;
    return refused_at("geteuid");
}

/* "PATH": a copy of this program that belongs to root and has the setuid bit. */
int run_setuid(const char *path) {
    static const char task[] = "1\tis_root\t\n";
    char answer[256] = "";
    int to[2], from[2];
    ssize_t length, total = 0;
    pid_t child;
    if (pipe(to) < 0 || pipe(from) < 0)
        return broken_at("pipe");
    child = fork();
    if (child < 0)
        return broken_at("fork");
    if (child == 0) {
        char *const arguments[] = {(char *)path, NULL};
        dup2(to[0], 0);
        dup2(from[1], 1);
        close(to[1]);
        close(from[0]);
        execv(path, arguments);
        broken_at("execve");
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    if (write(to[1], task, sizeof task - 1) < 0)
        return broken_at("write");
    close(to[1]);
    while ((length = read(from[0], answer + total, sizeof answer - 1 - (size_t)total)) > 0)
        total += length;
    waitpid(child, NULL, 0);
    if (strstr(answer, "\tdone"))
        return 0;
    if (!strstr(answer, "\tEPERM"))
        return broken_at("execve");
    errno = EPERM;
    return refused_at("execve");
}
