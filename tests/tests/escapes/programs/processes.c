/* Attacks on processes outside. "PID" is a number, or `helper`: what of the sandbox's own is nearest. */
#include "attack.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Returns field 2 (the name) and 4 (the parent) of a process; see proc_pid_stat(5). */
static int look_up(pid_t pid, char name[64], pid_t *parent) {
    char path[64], text[512], *end;
    int file;
    ssize_t length;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    file = open(path, O_RDONLY);
    if (file < 0)
        return -1;
    length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0)
        return -1;
    text[length] = 0;
    end = strrchr(text, ')');
    if (!end || !strchr(text, '('))
        return -1;
    *end = 0;
    snprintf(name, 64, "%s", strchr(text, '(') + 1);
    *parent = atoi(end + 4);
    return 0;
}

/* The helper is the first process of the namespace; where there is none, the one of that name among
 * those that started this one. */
static pid_t target(const char *argument) {
    char name[64];
    pid_t pid = getpid(), parent;
    if (strncmp(argument, "helper", 6) != 0)
        return atoi(argument);
    while (pid > 1 && look_up(pid, name, &parent) == 0 && strcmp(name, "autoclave-enter") != 0)
        pid = parent;
    return pid;
}

/* Ignored by whoever does not wait for it. */
#define HARMLESS SIGURG

static int send_kill(const char *pid) { return kill(target(pid), HARMLESS) < 0 ? refused_at("kill") : 0; }

static int send_tgkill(const char *pid) {
    pid_t found = target(pid);
    return syscall(SYS_tgkill, found, found, HARMLESS) < 0 ? refused_at("tgkill") : 0;
}

static int send_queued(const char *pid) {
    union sigval value = {0};
    return sigqueue(target(pid), HARMLESS, value) < 0 ? refused_at("rt_sigqueueinfo") : 0;
}

static int send_by_descriptor(const char *pid) {
    int descriptor = (int)syscall(SYS_pidfd_open, target(pid), 0);
    if (descriptor < 0)
        return refused_at("pidfd_open");
    if (syscall(SYS_pidfd_send_signal, descriptor, HARMLESS, NULL, 0) < 0)
        return refused_at("pidfd_send_signal");
    return 0;
}

/* Has the kernel send a signal about a descriptor. Nothing is refused where it does not: the victim
 * counts its signals in its name. */
static int send_by_owner(const char *pid) {
    char before[64], after[64];
    pid_t victim = target(pid), parent;
    struct timespec moment = {0, 10 * 1000 * 1000};
    int ends[2], i;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
        return broken_at("socketpair");
    if (fcntl(ends[0], F_SETOWN, victim) < 0)
        return refused_at("fcntl");
    if (fcntl(ends[0], F_SETSIG, HARMLESS) < 0 || fcntl(ends[0], F_SETFL, O_ASYNC) < 0)
        return broken_at("fcntl");
    if (look_up(victim, before, &parent) < 0)
        return broken_at("read the victim's name");
    if (write(ends[1], "x", 1) < 0)
        return broken_at("write");
    for (i = 0; i < 50; i++) {
        if (look_up(victim, after, &parent) < 0)
            return broken_at("read the victim's name");
        if (strcmp(before, after) != 0)
            return 0;
        nanosleep(&moment, NULL);
    }
    return without_effect("no signal arrived");
}

static int trace_attach(const char *pid) {
    pid_t victim = target(pid);
    if (ptrace(PTRACE_ATTACH, victim, NULL, NULL) < 0)
        return refused_at("ptrace");
    waitpid(victim, NULL, __WALL);
    ptrace(PTRACE_DETACH, victim, NULL, NULL);
    return 0;
}

static int trace_seize(const char *pid) {
    return ptrace(PTRACE_SEIZE, target(pid), NULL, NULL) < 0 ? refused_at("ptrace") : 0;
}

static int trace_me(const char *argument) {
    (void)argument;
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? refused_at("ptrace") : 0;
}

/* "PID ADDRESS": the secret lies there. */
static int read_memory(const char *argument) {
    char bytes[8];
    struct iovec here = {bytes, sizeof bytes};
    struct iovec there = {(void *)strtoul(rest_of(argument), NULL, 0), sizeof bytes};
    return process_vm_readv(target(argument), &here, 1, &there, 1, 0) < 0 ? refused_at("process_vm_readv") : 0;
}

/* Writes what is there already. */
static int write_memory(const char *argument) {
    char bytes[1] = {'s'};
    struct iovec here = {bytes, sizeof bytes};
    struct iovec there = {(void *)strtoul(rest_of(argument), NULL, 0), sizeof bytes};
    return process_vm_writev(target(argument), &here, 1, &there, 1, 0) < 0 ? refused_at("process_vm_writev") : 0;
}

static int read_memory_file(const char *argument) {
    char path[64], bytes[8];
    int file;
    snprintf(path, sizeof path, "/proc/%d/mem", target(argument));
    file = open(path, O_RDONLY);
    if (file < 0)
        return refused_at("openat");
    if (pread(file, bytes, sizeof bytes, (off_t)strtoul(rest_of(argument), NULL, 0)) < 0)
        return refused_at("pread64");
    return 0;
}

/* "PID NUMBER": a descriptor of the victim's. */
static int take_descriptor(const char *argument) {
    int victim = (int)syscall(SYS_pidfd_open, target(argument), 0);
    /* Without a victim the call itself can still be tried. */
    if (syscall(SYS_pidfd_getfd, victim, atoi(rest_of(argument)), 0) < 0)
        return refused_at("pidfd_getfd");
    return 0;
}

static int compare_files(const char *pid) {
    /* KCMP_FILE of both standard inputs. */
    return syscall(SYS_kcmp, getpid(), target(pid), 0, 0, 0) < 0 ? refused_at("kcmp") : 0;
}

static char *path_of(const char *argument) {
    char *path = NULL;
    if (asprintf(&path, "/proc/%d/%s", target(argument), rest_of(argument)) < 0)
        abort();
    return path;
}

/* "PID NAME": a file beneath the victim's folder in /proc. */
static int read_file(const char *argument) {
    char bytes[64];
    int file = open(path_of(argument), O_RDONLY);
    if (file < 0)
        return refused_at("openat");
    if (read(file, bytes, sizeof bytes) < 0)
        return refused_at("read");
    return 0;
}

static int follow_link(const char *argument) {
    char bytes[64];
    return readlink(path_of(argument), bytes, sizeof bytes) < 0 ? refused_at("readlink") : 0;
}

static int list_folder(const char *argument) {
    DIR *folder = opendir(path_of(argument));
    if (!folder)
        return refused_at("openat");
    return readdir(folder) ? 0 : refused_at("getdents64");
}

/* Raises it: everybody may do that to one's own processes. */
static int volunteer(const char *pid) {
    char path[64];
    int file;
    snprintf(path, sizeof path, "/proc/%d/oom_score_adj", target(pid));
    file = open(path, O_WRONLY);
    if (file < 0)
        return refused_at("openat");
    return write(file, "900", 3) < 0 ? refused_at("write") : 0;
}

/* Sets to what is set: the right to do so is the same. */
static int limit(const char *pid) {
    struct rlimit limits;
    pid_t victim = target(pid);
    if (prlimit(victim, RLIMIT_CORE, NULL, &limits) < 0)
        return refused_at("prlimit64");
    return prlimit(victim, RLIMIT_CORE, &limits, NULL) < 0 ? refused_at("prlimit64") : 0;
}

/* What shells and programs do to themselves. */
static int limit_self(const char *argument) {
    struct rlimit limits;
    (void)argument;
    if (getrlimit(RLIMIT_NOFILE, &limits) < 0)
        return refused_at("prlimit64");
    return setrlimit(RLIMIT_NOFILE, &limits) < 0 ? refused_at("prlimit64") : 0;
}

static int slow_down(const char *pid) {
    return setpriority(PRIO_PROCESS, (id_t)target(pid), 5) < 0 ? refused_at("setpriority") : 0;
}

static int slow_self_down(const char *argument) {
    (void)argument;
    return setpriority(PRIO_PROCESS, 0, 19) < 0 ? refused_at("setpriority") : 0;
}

static int pin(const char *pid) {
    cpu_set_t processors;
    pid_t victim = target(pid);
    CPU_ZERO(&processors);
    CPU_SET(0, &processors);
    return sched_setaffinity(victim, sizeof processors, &processors) < 0 ? refused_at("sched_setaffinity") : 0;
}

static int reschedule(const char *pid) {
    struct sched_param parameters = {0};
    return sched_setscheduler(target(pid), SCHED_BATCH, &parameters) < 0 ? refused_at("sched_setscheduler") : 0;
}

static int slow_disk_down(const char *pid) {
    /* IOPRIO_WHO_PROCESS, the idle class. */
    return syscall(SYS_ioprio_set, 1, target(pid), 3 << 13) < 0 ? refused_at("ioprio_set") : 0;
}

/* "NAME SECRET": whether any process there is shows the secret in that file of its own. */
static int search(const char *argument) {
    static char bytes[1 << 16];
    char *name = first_word(argument), *secret = rest_of(argument);
    struct dirent *entry;
    DIR *processes = opendir("/proc");
    if (!processes)
        return refused_at("openat");
    while ((entry = readdir(processes)) != NULL) {
        char path[300];
        ssize_t length;
        int file;
        pid_t pid = atoi(entry->d_name);
        /* This one was given the secret to look for. */
        if (pid <= 0 || pid == getpid() || pid == getppid())
            continue;
        snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
        file = open(path, O_RDONLY);
        if (file < 0)
            continue;
        length = read(file, bytes, sizeof bytes);
        close(file);
        if (length > 0 && memmem(bytes, (size_t)length, secret, strlen(secret)))
            return 0;
    }
    return without_effect("no process shows it");
}

const struct attack process_attacks[] = {
    {"kill", send_kill},
    {"tgkill", send_tgkill},
    {"sigqueue", send_queued},
    {"pidfd_send_signal", send_by_descriptor},
    {"signal_by_owner", send_by_owner},
    {"trace_attach", trace_attach},
    {"trace_seize", trace_seize},
    {"trace_me", trace_me},
    {"read_memory", read_memory},
    {"write_memory", write_memory},
    {"read_memory_file", read_memory_file},
    {"take_descriptor", take_descriptor},
    {"compare_files", compare_files},
    {"read_process", read_file},
    {"follow_process", follow_link},
    {"list_process", list_folder},
    {"volunteer", volunteer},
    {"limit", limit},
    {"limit_self", limit_self},
    {"slow_down", slow_down},
    {"slow_self_down", slow_self_down},
    {"pin", pin},
    {"reschedule", reschedule},
    {"slow_disk_down", slow_disk_down},
    {"search_processes", search},
    {NULL, NULL},
};
