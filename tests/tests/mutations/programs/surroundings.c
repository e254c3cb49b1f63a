/* What of the outside is there: processes, sockets, queues, names, descriptors, variables. */
#include "layers.h"
#include <dirent.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <sys/msg.h>
#include <sys/socket.h>
#include <sys/un.h>

static long connected(int family, const void *address, socklen_t size) {
    int handle = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (handle < 0)
        return -1;
    long result = connect(handle, address, size);
    int kept = errno;
    close(handle);
    errno = kept;
    return result;
}

static void sockets(void) {
    struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_port = htons(outside.port)};
    loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    tell("outside-port", connected(AF_INET, &loopback, sizeof loopback));
    struct sockaddr_in any = {.sin_family = AF_INET};
    int handle = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tell("bind-port", handle < 0 ? -1 : bind(handle, (void *)&any, sizeof any));
    if (handle >= 0)
        close(handle);
    struct sockaddr_un abstract = {.sun_family = AF_UNIX};
    int length = snprintf(abstract.sun_path + 1, 90, "autoclave-mutations-%d", outside.port);
    tell("outside-abstract-socket",
         connected(AF_UNIX, &abstract, offsetof(struct sockaddr_un, sun_path) + 1 + length));
}

static void descriptors(void) {
    int found = 0;
    DIR *folder = opendir("/proc/self/fd");
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (entry->d_name[0] != '.' && atoi(entry->d_name) > 2)
            found += atoi(entry->d_name) != dirfd(folder);
    say("descriptors", !folder ? "unreadable" : found ? "some" : "none");
    if (folder)
        closedir(folder);
}

static void control_groups(void) {
    char line[512];
    const char *word = "root";
    FILE *file = fopen("/proc/self/cgroup", "r");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *path = strrchr(line, ':');
        if (path && strcmp(path, ":/"))
            word = "elsewhere";
    }
    say("cgroup-names", file ? word : "unreadable");
    if (file)
        fclose(file);
}

void surroundings(void) {
    char path[512], name[128] = "";
    snprintf(path, sizeof path, "/proc/%d", outside.pid);
    say("outside-process", access(path, F_OK) ? errno_name(errno) : "seen");
    tell("outside-signal", kill(outside.pid, 0));
    tell("outside-queue", msgget(outside.key, 0));
    gethostname(name, sizeof name - 1);
    say("host-name", strcmp(name, "autoclave") ? "foreign" : "own");
    control_groups();
    sockets();
    descriptors();
    say("outside-variable", getenv("AUTOCLAVE_OUTSIDE") ? "seen" : "absent");
    say("engine-variable", getenv("HOSTNAME") ? "seen" : "absent");
    say("path-variable", getenv("PATH") ? "set" : "absent");
}
