/* Somebody outside: with a secret in its memory, environment and files, and with IPC that is open to
 * everybody. Tells where all that is; and at the end, what has been done to it. */
#include "attack.h"

#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sched.h>
#include <unistd.h>

static char secret[] = "secret in the memory";
static volatile sig_atomic_t signals;

/* Its name is what everybody sees who may list processes. */
static void count(int signal) {
    char name[16] = "touched 0";
    (void)signal;
    signals = signals % 9 + 1;
    name[8] = (char)('0' + signals);
    prctl(PR_SET_NAME, name);
}

static int fail(const char *what) {
    perror(what);
    return 1;
}

int be_victim(void) {
    struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};
    struct mq_attr attributes = {.mq_maxmsg = 4, .mq_msgsize = 64};
    struct msqid_ds queued;
    cpu_set_t processors, processors_then;
    char name[64], was[64] = "", byte;
    int key = 0x61000000 | getpid(), memory, semaphore, messages, named, file, priority;
    long io_priority;
    char *shared;
    mqd_t queue;
    struct stat found;

    umask(0);
    snprintf(name, sizeof name, "/autoclave-escapes-%d", getpid());
    sigaction(SIGURG, &action, NULL);
    memory = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0666);
    semaphore = semget(key, 1, IPC_CREAT | IPC_EXCL | 0666);
    messages = msgget(key, IPC_CREAT | IPC_EXCL | 0666);
    if (memory < 0 || semaphore < 0 || messages < 0)
        return fail("System V IPC");
    shared = shmat(memory, NULL, 0);
    queue = mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0666, &attributes);
    named = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0666);
    file = memfd_create("secret", 0);
    if (shared == (char *)-1 || queue == (mqd_t)-1 || named < 0 || file < 0)
        return fail("POSIX IPC");
    priority = getpriority(PRIO_PROCESS, 0);
    io_priority = syscall(SYS_ioprio_get, 1, 0);
    sched_getaffinity(0, sizeof processors, &processors);
    printf("%d %p %d %d %s\n", getpid(), (void *)secret, file, key, name);
    fflush(stdout);

    while (read(0, &byte, 1) > 0)
        ;

    if (signals)
        printf("signals arrived: %d\n", (int)signals);
    if (strcmp(secret, "secret in the memory") != 0)
        printf("its memory was written to\n");
    if (*shared || (semctl(semaphore, 0, GETVAL) != 0))
        printf("its System V memory or semaphore was changed\n");
    if (msgctl(messages, IPC_STAT, &queued) < 0 || queued.msg_qnum)
        printf("its System V queue has messages\n");
    if (mq_getattr(queue, &attributes) < 0 || attributes.mq_curmsgs)
        printf("its POSIX queue has messages\n");
    if (fstat(named, &found) < 0 || found.st_size)
        printf("its POSIX memory was written to\n");
    if (getpriority(PRIO_PROCESS, 0) != priority || syscall(SYS_ioprio_get, 1, 0) != io_priority)
        printf("its priority was changed\n");
    sched_getaffinity(0, sizeof processors_then, &processors_then);
    if (!CPU_EQUAL(&processors, &processors_then) || sched_getscheduler(0) != SCHED_OTHER)
        printf("its scheduling was changed\n");
    file = open("/proc/self/oom_score_adj", O_RDONLY);
    if (file < 0 || read(file, was, sizeof was - 1) < 0 || strcmp(was, "900\n") == 0)
        printf("the memory killer was told to take it\n");

    shmctl(memory, IPC_RMID, NULL);
    semctl(semaphore, 0, IPC_RMID);
    msgctl(messages, IPC_RMID, NULL);
    if (mq_unlink(name) < 0)
        printf("its POSIX queue was removed\n");
    shm_unlink(name);
    return 0;
}
