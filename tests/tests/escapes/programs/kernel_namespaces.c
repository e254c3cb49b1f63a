/* New namespaces, and mounts. */
#include "kernel.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

#define KIND(name, flag) {name, flag}

static const struct {
    const char *name;
    unsigned long flag;
} kinds[] = {
    KIND("mnt", CLONE_NEWNS),  KIND("cgroup", CLONE_NEWCGROUP), KIND("uts", CLONE_NEWUTS),
    KIND("ipc", CLONE_NEWIPC), KIND("user", CLONE_NEWUSER),     KIND("pid", CLONE_NEWPID),
    KIND("net", CLONE_NEWNET), KIND("time", CLONE_NEWTIME),
};

static unsigned long flag_of(const char *name) {
    size_t i;
    for (i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return kinds[i].flag;
    return 0;
}

int in_child(attack_function *attack, const char *argument) {
    int status;
    pid_t child = fork();
    if (child < 0)
        return broken_at("fork");
    if (child == 0)
        _exit(attack(argument) != 0);
    if (waitpid(child, &status, 0) < 0)
        return broken_at("waitpid");
    if (WIFSIGNALED(status)) {
        /* As it would have been without a child. */
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
    return status;
}

int unshare_one(const char *kind) { return unshare((int)flag_of(kind)) < 0 ? refused_at("unshare") : 0; }

static int gone_well(long child, const char *call) {
    if (child < 0)
        return refused_at(call);
    if (child == 0)
        _exit(0);
    waitpid((pid_t)child, NULL, 0);
    return 0;
}

int clone_one(const char *kind) {
    return gone_well(syscall(SYS_clone, flag_of(kind) | SIGCHLD, 0, 0, 0, 0), "clone");
}

int clone3_one(const char *kind) {
    struct clone_args arguments;
    memset(&arguments, 0, sizeof arguments);
    arguments.flags = flag_of(kind);
    arguments.exit_signal = SIGCHLD;
    return gone_well(syscall(SYS_clone3, &arguments, sizeof arguments), "clone3");
}

/* "net": enters the namespace that this process is in anyway, the least that can be asked. */
int join_own(const char *kind) {
    char path[64];
    int file;
    snprintf(path, sizeof path, "/proc/self/ns/%s", kind);
    file = open(path, O_RDONLY);
    if (file < 0)
        return broken_at("openat");
    return setns(file, 0) < 0 ? refused_at("setns") : 0;
}

int leave_mounts(void) {
    if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        /* Root could still do harm; whoever else is confined has nothing to leave. */
        return geteuid() == 0 ? -1 : 0;
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

int mount_tmpfs(const char *target) {
    if (leave_mounts() < 0)
        return broken_at("unshare");
    return mount("tmpfs", target, "tmpfs", 0, NULL) < 0 ? refused_at("mount") : 0;
}

/* "SOURCE TARGET" */
int mount_bind(const char *argument) {
    char *source = first_word(argument), *target = rest_of(argument);
    if (leave_mounts() < 0)
        return broken_at("unshare");
    return mount(source, target, NULL, MS_BIND, NULL) < 0 ? refused_at("mount") : 0;
}

int unmount(const char *target) {
    if (leave_mounts() < 0)
        return broken_at("unshare");
    /* Something to take away where that is possible. */
    mount("tmpfs", target, "tmpfs", 0, NULL);
    return umount2(target, MNT_DETACH) < 0 ? refused_at("umount2") : 0;
}

int change_root_mount(const char *target) {
    if (leave_mounts() < 0)
        return broken_at("unshare");
    mount("tmpfs", target, "tmpfs", 0, NULL);
    if (chdir(target) < 0)
        return broken_at("chdir");
    return syscall(SYS_pivot_root, ".", ".") < 0 ? refused_at("pivot_root") : 0;
}

int change_root(const char *target) {
    if (leave_mounts() < 0)
        return broken_at("unshare");
    return chroot(target) < 0 ? refused_at("chroot") : 0;
}

int mount_by_descriptors(const char *target) {
    int context, tree;
    if (leave_mounts() < 0)
        return broken_at("unshare");
    context = (int)syscall(SYS_fsopen, "tmpfs", 0);
    if (context < 0)
        return refused_at("fsopen");
    if (syscall(SYS_fsconfig, context, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0) < 0)
        return refused_at("fsconfig");
    tree = (int)syscall(SYS_fsmount, context, 0, 0);
    if (tree < 0)
        return refused_at("fsmount");
    if (syscall(SYS_move_mount, tree, "", AT_FDCWD, target, 4 /* MOVE_MOUNT_F_EMPTY_PATH */) < 0)
        return refused_at("move_mount");
    return 0;
}

int clone_mount(const char *source) {
    if (leave_mounts() < 0)
        return broken_at("unshare");
    return syscall(SYS_open_tree, AT_FDCWD, source, 1 /* OPEN_TREE_CLONE */) < 0 ? refused_at("open_tree") : 0;
}

int change_mount(const char *target) {
    struct {
        uint64_t set, clear, propagation, user_namespace;
    } attributes = {8 /* MOUNT_ATTR_NOEXEC */, 0, 0, 0};
    if (leave_mounts() < 0)
        return broken_at("unshare");
    mount("tmpfs", target, "tmpfs", 0, NULL);
    if (syscall(SYS_mount_setattr, AT_FDCWD, target, 0, &attributes, sizeof attributes) < 0)
        return refused_at("mount_setattr");
    return 0;
}

int reconfigure_mount(const char *target) {
    if (leave_mounts() < 0)
        return broken_at("unshare");
    mount("tmpfs", target, "tmpfs", 0, NULL);
    return syscall(SYS_fspick, AT_FDCWD, target, 0) < 0 ? refused_at("fspick") : 0;
}
