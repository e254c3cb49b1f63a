/* Plays attacks: each line of standard input is one, each line of standard output what it came to.
 *
 *   ID<TAB>ATTACK<TAB>ARGUMENT     where \xNN stands for a byte, and {workspace}, {home} and {tmp}
 *                                  for where the command has these
 *
 *   ID<TAB>done                    it got through
 *   ID<TAB>EACCES<TAB>openat       this call was refused
 *   ID<TAB>nothing<TAB>WHAT        nothing was refused, and nothing came of it
 *   ID<TAB>broken<TAB>CALL EPERM   it could not be tried
 *   ID<TAB>killed<TAB>SIGSYS       it was killed
 *   ID<TAB>timeout                 it was still at it after a few seconds
 */
#include "attack.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 8000

static const struct attack *const groups[] = {
    filesystem_attacks,
    limits_attacks,
    network_attacks,
    process_attacks,
    kernel_attacks,
    environment_attacks,
};

/* Where a child says what its attack came to. */
struct said {
    enum { NOTHING, REFUSED, BROKEN, EFFECTLESS, THROUGH } how;
    int number;
    char call[100];
};
static struct said *said;

static int say(int how, const char *call) {
    said->how = how;
    said->number = errno;
    strncpy(said->call, call, sizeof said->call - 1);
    return errno ? errno : -1;
}

int refused_at(const char *call) { return say(REFUSED, call); }
int broken_at(const char *call) { return say(BROKEN, call); }
int without_effect(const char *what) { return say(EFFECTLESS, what); }

char *first_word(const char *argument) {
    return strndup(argument, strcspn(argument, " "));
}

char *rest_of(const char *argument) {
    size_t length = strcspn(argument, " ");
    return strdup(argument + length + (argument[length] == ' '));
}

/* Replaces what the runner of the attacks cannot know. */
static char *filled(const char *argument) {
    static const char *const names[] = {"{workspace}", "{home}", "{tmp}"};
    char directory[4096];
    const char *values[3];
    char *text = strdup(argument);
    int i;
    values[0] = getcwd(directory, sizeof directory) ? directory : "/";
    values[1] = getenv("HOME") ? getenv("HOME") : "/";
    values[2] = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    for (i = 0; i < 3; i++) {
        char *at;
        while ((at = strstr(text, names[i])) != NULL) {
            char *longer = NULL;
            *at = 0;
            if (asprintf(&longer, "%s%s%s", text, values[i], at + strlen(names[i])) < 0)
                abort();
            text = longer;
        }
    }
    return text;
}

/* Turns \xNN into the byte. */
static void unescape(char *text) {
    char *to = text;
    unsigned byte;
    while (*text) {
        if (text[0] == '\\' && text[1] == 'x' && sscanf(text + 2, "%2x", &byte) == 1) {
            *to++ = (char)byte;
            text += 4;
        } else {
            *to++ = *text++;
        }
    }
    *to = 0;
}

static attack_function *find(const char *name) {
    size_t i;
    const struct attack *at;
    for (i = 0; i < sizeof groups / sizeof *groups; i++)
        for (at = groups[i]; at->name; at++)
            if (strcmp(at->name, name) == 0)
                return at->attack;
    return NULL;
}

/* Returns the attack's process's status, or -1 where it had to be stopped. */
static int wait_for(pid_t child) {
    const struct timespec moment = {0, 2000000};
    int status, waited;
    for (waited = 0; waited < PATIENCE_MS; waited += 2) {
        if (waitpid(child, &status, WNOHANG) == child)
            return status;
        nanosleep(&moment, NULL);
    }
    kill(-child, SIGKILL);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return -1;
}

static void play(const char *id, const char *name, const char *argument) {
    const struct timespec moment = {0, 2000000};
    attack_function *attack = find(name);
    pid_t child;
    int status, waited;
    if (!attack) {
        printf("%s\tbroken\tno attack has the name %s\n", id, name);
        return;
    }
    memset(said, 0, sizeof *said);
    fflush(stdout);
    child = fork();
    if (child < 0) {
        printf("%s\tbroken\tfork %s\n", id, strerrorname_np(errno));
        return;
    }
    if (child == 0) {
        int null = open("/dev/null", O_RDWR);
        setpgid(0, 0);
        /* What it prints is no result. */
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        if (null > 2)
            close(null);
        errno = 0;
        if (attack(argument) == 0)
            said->how = THROUGH;
        _exit(0);
    }
    status = wait_for(child);
    /* What it started may outlive it only where it wants to: by leaving the group. Until the rest
       is gone, the next attack would meet its limits. The dead are there until somebody asks for
       them: this does, as they become its children. */
    for (waited = 0; kill(-child, SIGKILL) == 0 && waited < PATIENCE_MS; waited += 2)
        if (waitpid(-child, NULL, WNOHANG) <= 0)
            nanosleep(&moment, NULL);
    if (status == -1)
        printf("%s\ttimeout\n", id);
    else if (WIFSIGNALED(status))
        printf("%s\tkilled\tSIG%s\n", id, sigabbrev_np(WTERMSIG(status)));
    else if (said->how == THROUGH)
        printf("%s\tdone\n", id);
    else if (said->how == REFUSED && said->number)
        printf("%s\t%s\t%s\n", id, strerrorname_np(said->number), said->call);
    else if (said->how == EFFECTLESS)
        printf("%s\tnothing\t%s\n", id, said->call);
    else
        printf("%s\tbroken\t%s %s\n", id, said->call, strerrorname_np(said->number));
}

/* What an attack leaves behind: writes into descriptor 3, which it maps as well, for as long as any
   test may look, unless somebody ends it. */
static int write_forever(void) {
    const struct timespec moment = {0, 5000000};
    int i;
    char *bytes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0);
    if (bytes == MAP_FAILED)
        return 1;
    for (i = 0; i < 12000; i++) {
        bytes[i % 4096]++;
        if (pwrite(3, "late", 4, 0) < 0)
            return 1;
        nanosleep(&moment, NULL);
    }
    return 0;
}

/* What `spin` leaves behind: turns for a minute, or until somebody ends it. */
static int turn(void) {
    const time_t end = time(NULL) + 60;
    while (time(NULL) < end) {
    }
    return 0;
}

int main(int count, char **arguments) {
    char *line = NULL;
    size_t size = 0;
    if (count == 2 && strcmp(arguments[1], "--write-forever") == 0)
        return write_forever();
    if (count >= 2 && strcmp(arguments[1], "--victim") == 0)
        return be_victim();
    if (count == 2 && strcmp(arguments[1], "--spin") == 0)
        return turn();
    if (prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L) < 0)
        return 1;
    said = mmap(NULL, sizeof *said, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (said == MAP_FAILED)
        return 1;
    while (getline(&line, &size, stdin) > 0) {
        char *id, *name, *argument, *full;
        line[strcspn(line, "\n")] = 0;
        id = line;
        name = strchr(id, '\t');
        if (!name)
            return 2;
        *name++ = 0;
        argument = strchr(name, '\t');
        if (!argument)
            return 2;
        *argument++ = 0;
        full = filled(argument);
        unescape(full);
        play(id, name, full);
        free(full);
    }
    fflush(stdout);
    return 0;
}
