/* Single system calls by name, past the C library: which ones does a filter answer? */
#include "kernel.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif
#ifndef SYS_open_tree_attr
#define SYS_open_tree_attr 467
#endif
/* Numbers of the x32 interface are those of x86-64 with this bit set. */
#define X32 0x40000000

#define NAMED(name) {#name, SYS_##name}
#define NUMBERED(name, number) {name, number}

static const struct {
    const char *name;
    uint32_t number;
} numbers[] = {
    NAMED(acct), NAMED(add_key), NAMED(bpf), NAMED(chroot), NAMED(clock_settime), NAMED(clone),
    NAMED(clone3), NAMED(delete_module), NAMED(fanotify_init), NAMED(finit_module), NAMED(fsconfig),
    NAMED(fsmount), NAMED(fsopen), NAMED(fspick), NAMED(getpid), NAMED(init_module),
    NAMED(io_uring_enter), NAMED(io_uring_register), NAMED(io_uring_setup), NAMED(ioctl),
    NAMED(ioprio_set), NAMED(kcmp), NAMED(kexec_file_load), NAMED(kexec_load), NAMED(keyctl),
    NAMED(lookup_dcookie), NAMED(migrate_pages), NAMED(mount), NAMED(mount_setattr),
    NAMED(move_mount), NAMED(move_pages), NAMED(mq_open), NAMED(mq_unlink), NAMED(msgctl),
    NAMED(msgget), NAMED(msgrcv), NAMED(msgsnd), NAMED(open_by_handle_at), NAMED(open_tree),
    NAMED(open_tree_attr), NAMED(perf_event_open), NAMED(personality), NAMED(pidfd_getfd),
    NAMED(pivot_root), NAMED(prlimit64), NAMED(process_madvise), NAMED(process_vm_readv),
    NAMED(process_vm_writev), NAMED(ptrace), NAMED(quotactl), NAMED(quotactl_fd), NAMED(reboot),
    NAMED(request_key), NAMED(sched_setaffinity), NAMED(sched_setattr),
    NAMED(sched_setparam), NAMED(sched_setscheduler), NAMED(semctl), NAMED(semget), NAMED(semop),
    NAMED(semtimedop), NAMED(setns), NAMED(setpriority), NAMED(settimeofday), NAMED(shmat),
    NAMED(shmctl), NAMED(shmget), NAMED(socket), NAMED(socketpair), NAMED(swapoff), NAMED(swapon),
    NAMED(syslog), NAMED(umount2), NAMED(unshare), NAMED(userfaultfd), NAMED(vhangup),
    NAMED(vmsplice),
#ifdef __x86_64__
    NAMED(ioperm), NAMED(iopl), NAMED(modify_ldt),
    NUMBERED("x32:getpid", X32 | SYS_getpid), NUMBERED("x32:socket", X32 | SYS_socket),
    /* Calls from 512 on are x32's own; this one is its ptrace. */
    NUMBERED("x32:ptrace", X32 | 521),
#endif
};

/* A call as text: its name and up to six arguments. */
struct words {
    const char *name;
    uint32_t number;
    unsigned long arguments[6];
};

static int parse(const char *text, struct words *words) {
    char *word, *rest, *copy = strdup(text);
    int i = 0;
    size_t n;
    memset(words, 0, sizeof *words);
    words->name = strtok_r(copy, " ", &rest);
    while ((word = strtok_r(NULL, " ", &rest)) != NULL && i < 6)
        words->arguments[i++] = strtoul(word, NULL, 0);
    for (n = 0; words->name && n < sizeof numbers / sizeof *numbers; n++) {
        if (strcmp(numbers[n].name, words->name) == 0) {
            words->number = numbers[n].number;
            return 0;
        }
    }
    errno = ENOSYS;
    return -1;
}

static long make(const struct words *words) {
    const unsigned long *a = words->arguments;
    return syscall(words->number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* "NAME ARGUMENT...": whether the kernel gets to see the call, however it then likes its arguments. For
 * calls that a filter says are missing. */
int reach_kernel(const char *argument) {
    struct words words;
    if (parse(argument, &words) < 0)
        return broken_at("find the number of the call");
    return make(&words) < 0 && errno == ENOSYS ? refused_at(words.name) : 0;
}

/* "NAME ARGUMENT...": asks the filters that are in force, and the kernel never does the call.
 *
 * Of several filters the strictest answer counts. Here a new one says "ask the tracer" of this call:
 * weaker than every denial, so that a denial of the sandbox's filter is still seen, and stronger than
 * to allow. There is no tracer; the kernel then answers ENOSYS instead of doing what was asked; see
 * seccomp(2). So no privilege, argument or missing part of the kernel can hide what the filter says. */
int filtered(const char *argument) {
    struct words words;
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof program / sizeof *program, program};
    if (parse(argument, &words) < 0)
        return broken_at("find the number of the call");
    program[1].k = words.number;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return broken_at("prctl");
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) < 0)
        return broken_at("seccomp");
    errno = 0;
    if (make(&words) >= 0)
        return without_effect("the call was made although the own filter stops it");
    return errno == ENOSYS ? 0 : refused_at(words.name);
}

/* The 32-bit interface, whose numbers a filter for 64 bits reads as other calls. */
int legacy_interface(const char *argument) {
    (void)argument;
#ifdef __x86_64__
    long answer = 20; /* getpid */
    __asm__ volatile("int $0x80" : "+a"(answer) : : "memory", "r8", "r9", "r10", "r11");
    if (answer > 0)
        return 0;
    errno = (int)-answer;
    return refused_at("int 0x80");
#else
    errno = ENOSYS;
    return broken_at("int 0x80");
#endif
}
