/* What the system call filter says to each call that a rule names, and to nothing else.
 *
 * A filter of our own hands every call with a certain last argument over to this program, which
 * answers it with EBADE. A denial of the sandbox's filter wins over that; see seccomp(2). So no
 * call is ever made, and no other layer can answer for the filter. */
#include "layers.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include "rules.h"

#define MAGIC 0x6d757461

static int listener = -1;
static pthread_barrier_t ready;
static int errnos[sizeof rules / sizeof *rules];

static void *caller(void *unused) {
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MAGIC, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {4, program};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);
    pthread_barrier_wait(&ready);
    for (size_t i = 0; listener >= 0 && i < sizeof rules / sizeof *rules; i++) {
        const struct rule *rule = rules + i;
        const long *a = rule->arguments;
        errnos[i] = syscall(rule->number, a[0], a[1], a[2], 0, 0, MAGIC) < 0 ? errno : 0;
    }
    /* Ends the other loop: no rule names this one. */
    syscall(SYS_getpid, 0, 0, 0, 0, 0, MAGIC);
    /* The register of the last argument keeps its value: calls with fewer would be handed over. */
    syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
    return unused;
}

static void named(void) {
    pthread_t thread;
    pthread_barrier_init(&ready, 0, 2);
    if (pthread_create(&thread, 0, caller, 0)) {
        say("filter", errno_name(errno));
        return;
    }
    pthread_barrier_wait(&ready);
    say("filter", listener < 0 ? "no listener" : "asked");
    for (int is_last = listener < 0; !is_last;) {
        struct seccomp_notif call = {0};
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call))
            continue;
        struct seccomp_notif_resp answer = {.id = call.id, .error = -EBADE};
        is_last = call.data.nr == SYS_getpid;
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
    pthread_join(thread, 0);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        say(rules[i].name, errnos[i] == EBADE ? "allowed" : errno_name(errnos[i]));
}

#ifdef __x86_64__
/* Calls by the way of 32-bit programs: a filter that knows numbers alone takes them for others. */
static void other_ways(void) {
    int status, child = fork();
    if (!child) {
        int result;
        __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory");
        _exit(result > 0);
    }
    waitpid(child, &status, 0);
    say("32-bit-calls", WIFSIGNALED(status) ? "killed" : WEXITSTATUS(status) ? "ok" : "failed");
    child = fork();
    if (!child)
        _exit(syscall(0x40000000 | SYS_getpid) < 0 ? errno : 0);
    waitpid(child, &status, 0);
    say("x32-calls", WIFSIGNALED(status)   ? "killed"
                     : WEXITSTATUS(status) ? errno_name(WEXITSTATUS(status))
                                           : "ok");
}
#else
static void other_ways(void) {}
#endif

void system_calls(void) {
    named();
    other_ways();
}
