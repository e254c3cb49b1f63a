/* What is mounted how, and what of the host's files is seen. */
#include "layers.h"
#include <dirent.h>
#include <sys/statvfs.h>

static void flags(const char *name, const char *path) {
    struct statvfs found;
    char word[64] = "";
    if (statvfs(path, &found)) {
        say(name, errno_name(errno));
        return;
    }
    if (found.f_flag & ST_RDONLY)
        strcat(word, "ro,");
    if (found.f_flag & ST_NOSUID)
        strcat(word, "nosuid,");
    if (found.f_flag & ST_NODEV)
        strcat(word, "nodev,");
    if (found.f_flag & ST_NOEXEC)
        strcat(word, "noexec,");
    size_t length = strlen(word);
    if (length)
        word[length - 1] = 0;
    say(name, length ? word : "none");
}

static long made(const char *folder) {
    char path[512];
    snprintf(path, sizeof path, "%s/autoclave-layer", folder);
    int handle = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (handle < 0)
        return -1;
    close(handle);
    unlink(path);
    return 0;
}

static long opened(const char *format, const char *path) {
    char text[512];
    snprintf(text, sizeof text, format, path);
    int handle = open(text, O_RDONLY | O_CLOEXEC);
    if (handle >= 0)
        close(handle);
    return handle;
}

void mounts(void) {
    char path[512];
    flags("mount-root", "/");
    flags("mount-tmp", "/tmp");
    flags("mount-proc", "/proc");
    flags("mount-pts", "/dev/pts");
    flags("mount-usr", "/usr");
    flags("mount-view", outside.view);
    tell("write-usr", made("/usr"));
    tell("write-view", made(outside.view));
    tell("write-shm", made("/dev/shm"));
    tell("read-outside", opened("%s/canary", outside.folder));
    tell("read-old-root", opened("/..%s/canary", outside.folder));
    snprintf(path, sizeof path, "/..%s", outside.folder);
    say("old-root", access(path, F_OK) ? errno_name(errno) : "seen");
    snprintf(path, sizeof path, "%s/list", outside.folder);
    tell("list-outside", opened("%s", path));
    snprintf(path, sizeof path, "%s/script", outside.folder);
    char *words[] = {path, 0}, *none[] = {0};
    int child = fork(), status;
    if (!child) {
        execve(path, words, none);
        _exit(errno);
    }
    waitpid(child, &status, 0);
    say("execute-outside", WEXITSTATUS(status) ? errno_name(WEXITSTATUS(status)) : "ok");
    say("private-etc", access("/etc/ssl/private", F_OK) ? errno_name(errno) : "seen");
    int terminal = open("/dev/tty", O_WRONLY | O_NOCTTY | O_CLOEXEC);
    tell("terminal", terminal);
    if (terminal >= 0)
        close(terminal);
}
