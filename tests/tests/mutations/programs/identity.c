/* Who the command is, and what it could become. */
#include "layers.h"
#include <grp.h>
#include <sys/prctl.h>

static void status(const char *field, char *word, size_t size) {
    char line[512];
    FILE *file = fopen("/proc/self/status", "r");
    snprintf(word, size, "unreadable");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, field, strlen(field)) && line[strlen(field)] == ':') {
            char *from = line + strlen(field) + 1;
            snprintf(word, size, "%.*s", (int)strcspn(from + 1, "\n"), from + 1);
        }
    if (file)
        fclose(file);
}

static void ids(const char *name, long real, long effective, long saved) {
    char word[64];
    if (real == effective && effective == saved)
        snprintf(word, sizeof word, "%ld", real);
    else
        snprintf(word, sizeof word, "%ld,%ld,%ld", real, effective, saved);
    say(name, word);
}

/* Says whether a process is closed to this one's uid: those that started the command are so before it is
 * there. */
static const char *closed(const char *path) {
    struct stat found;
    if (stat(path, &found))
        return errno_name(errno);
    return found.st_uid != getuid() ? "closed" : "readable";
}

void identity(void) {
    uid_t users[3];
    gid_t groups[64];
    char word[256];
    getresuid(users, users + 1, users + 2);
    ids("uid", users[0], users[1], users[2]);
    getresgid(groups, groups + 1, groups + 2);
    ids("gid", groups[0], groups[1], groups[2]);
    int others = 0, count = getgroups(64, groups);
    for (int i = 0; i < count; i++)
        others += groups[i] != getgid();
    say("other-groups", others ? "some" : "none");
    const char *sets[][2] = {{"CapInh", "inheritable-capabilities"},
                             {"CapBnd", "bounding-capabilities"},
                             {"CapEff", "effective-capabilities"}};
    for (int i = 0; i < 3; i++) {
        status(sets[i][0], word, sizeof word);
        say(sets[i][1], strtoull(word, 0, 16) ? "some" : "none");
    }
    say("no-new-privileges", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? "set" : "unset");
    status("Seccomp", word, sizeof word);
    say("seccomp-mode", word);
    status("Seccomp_filters", word, sizeof word);
    say("seccomp-filters", word);
    say("session", getsid(0) == getpid() || getppid() != 1 ? "own" : "foreign");
    FILE *file = fopen("/proc/self/oom_score_adj", "r");
    if (!file || !fgets(word, sizeof word, file))
        snprintf(word, sizeof word, "unreadable\n");
    if (file)
        fclose(file);
    word[strcspn(word, "\n")] = 0;
    say("out-of-memory-score", word);
    say("first-process", closed("/proc/1/environ"));
    snprintf(word, sizeof word, "/proc/%d/environ", getppid());
    say("parent", closed(word));
}
