/* Parts of the kernel that reach around a sandbox: rings, probes, keys, terminals, IPC, settings. */
#include "kernel.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <mqueue.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <unistd.h>

int use_ring(const char *argument) {
    char parameters[120] = {0};
    (void)argument;
    return syscall(SYS_io_uring_setup, 4, parameters) < 0 ? refused_at("io_uring_setup") : 0;
}

int use_bpf(const char *argument) {
    union bpf_attr attributes;
    (void)argument;
    memset(&attributes, 0, sizeof attributes);
    attributes.map_type = BPF_MAP_TYPE_ARRAY;
    attributes.key_size = attributes.value_size = attributes.max_entries = 4;
    return syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes) < 0 ? refused_at("bpf") : 0;
}

int use_perf(const char *argument) {
    struct perf_event_attr attributes;
    (void)argument;
    memset(&attributes, 0, sizeof attributes);
    attributes.size = sizeof attributes;
    attributes.type = PERF_TYPE_SOFTWARE;
    attributes.config = PERF_COUNT_SW_TASK_CLOCK;
    attributes.exclude_kernel = attributes.exclude_hv = 1;
    return syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0) < 0 ? refused_at("perf_event_open") : 0;
}

int use_faults(const char *argument) {
    (void)argument;
    return syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */) < 0 ? refused_at("userfaultfd") : 0;
}

#define PROCESS_KEYRING (-2)

int use_keyring(const char *argument) {
    (void)argument;
    return syscall(SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, PROCESS_KEYRING, 1) < 0 ? refused_at("keyctl") : 0;
}

int add_key_here(const char *name) {
    return syscall(SYS_add_key, "user", name, "mine", 4, PROCESS_KEYRING) < 0 ? refused_at("add_key") : 0;
}

int ask_for_key(const char *name) {
    /* Something to find where that is possible. */
    syscall(SYS_add_key, "user", name, "mine", 4, PROCESS_KEYRING);
    return syscall(SYS_request_key, "user", name, NULL, 0) < 0 ? refused_at("request_key") : 0;
}

/* Opens a terminal that is this process's own. */
static int own_terminal(void) {
    int terminal, master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0)
        return -1;
    if (grantpt(master) < 0 || unlockpt(master) < 0 || setsid() < 0)
        return -1;
    terminal = open(ptsname(master), O_RDWR);
    if (terminal >= 0 && ioctl(terminal, TIOCSCTTY, 0) < 0)
        return -1;
    return terminal;
}

static int type_there(const char *text) {
    int terminal = own_terminal();
    if (terminal < 0)
        return refused_at("posix_openpt");
    return ioctl(terminal, TIOCSTI, text) < 0 ? refused_at("ioctl") : 0;
}

/* What is typed is read by whoever has the terminal next: the shell that the sandbox came from. */
int type_into_terminal(const char *text) { return in_child(type_there, text); }

/* IPC with the host: "KEY" or a name, of what was made outside. */
int shared_memory(const char *key) {
    void *memory;
    int id = shmget((key_t)strtol(key, NULL, 0), 0, 0);
    if (id < 0)
        return refused_at("shmget");
    memory = shmat(id, NULL, 0);
    if (memory == (void *)-1)
        return refused_at("shmat");
    strcpy(memory, "touched");
    return 0;
}

int semaphores(const char *key) {
    int id = semget((key_t)strtol(key, NULL, 0), 0, 0);
    if (id < 0)
        return refused_at("semget");
    return semctl(id, 0, SETVAL, 7) < 0 ? refused_at("semctl") : 0;
}

int messages(const char *key) {
    struct {
        long kind;
        char text[8];
    } message = {1, "touched"};
    int id = msgget((key_t)strtol(key, NULL, 0), 0);
    if (id < 0)
        return refused_at("msgget");
    return msgsnd(id, &message, sizeof message.text, IPC_NOWAIT) < 0 ? refused_at("msgsnd") : 0;
}

int message_queue(const char *name) {
    mqd_t queue = mq_open(name, O_WRONLY | O_NONBLOCK);
    if (queue == (mqd_t)-1)
        return refused_at("mq_open");
    return mq_send(queue, "touched", 7, 0) < 0 ? refused_at("mq_timedsend") : 0;
}

/* Not mq_unlink(3), which makes another errno of the kernel's. */
int remove_queue(const char *name) { return syscall(SYS_mq_unlink, name + 1) < 0 ? refused_at("mq_unlink") : 0; }

int named_memory(const char *name) {
    int memory = shm_open(name, O_RDWR, 0);
    if (memory < 0)
        return refused_at("shm_open");
    return write(memory, "touched", 7) < 0 ? refused_at("write") : 0;
}

/* Where a new namespace can be had, only there. */
int rename_host(const char *name) {
    if (unshare(CLONE_NEWUTS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWUTS) < 0 && geteuid() == 0)
        return broken_at("unshare");
    return sethostname(name, strlen(name)) < 0 ? refused_at("sethostname") : 0;
}

/* With a value that is out of range: whoever may set the clock is told so, and nothing is set. */
int adjust_clock(const char *argument) {
    struct timex change;
    (void)argument;
    memset(&change, 0, sizeof change);
    change.modes = ADJ_TICK;
    change.tick = 1;
    if (adjtimex(&change) < 0)
        return errno == EINVAL ? 0 : refused_at("adjtimex");
    return without_effect("the clock was set to what it cannot be");
}

int change_personality(const char *argument) {
    (void)argument;
    return personality(ADDR_NO_RANDOMIZE) < 0 ? refused_at("personality") : 0;
}

int watch_files(const char *path) {
    /* Allowed to everybody since 5.13: events of single files, by handle. */
    int watch = (int)syscall(SYS_fanotify_init, 0x200 /* FAN_REPORT_FID */, O_RDONLY);
    if (watch < 0)
        return refused_at("fanotify_init");
    if (syscall(SYS_fanotify_mark, watch, 1 /* FAN_MARK_ADD */, 2UL /* FAN_MODIFY */, AT_FDCWD, path) < 0)
        return refused_at("fanotify_mark");
    return 0;
}

/* Opened and not written: whether one may is decided by then. */
int open_to_write(const char *path) {
    return open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK) < 0 ? refused_at("openat") : 0;
}
