/* Attacks on files: what the command may not write, in every way to write it. */
#include "attack.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MINE "mine\n"

static int write_to(int file) {
    if (write(file, MINE, sizeof MINE - 1) < 0)
        return refused_at("write");
    close(file);
    return 0;
}

static int write_file(const char *path) {
    int file = open(path, O_WRONLY);
    return file < 0 ? refused_at("openat") : write_to(file);
}

static int append_file(const char *path) {
    int file = open(path, O_WRONLY | O_APPEND);
    return file < 0 ? refused_at("openat") : write_to(file);
}

static int open_both_ways(const char *path) {
    int file = open(path, O_RDWR);
    return file < 0 ? refused_at("openat") : write_to(file);
}

/* Reading what must not be seen. */
static int read_file(const char *path) {
    char byte;
    int file = open(path, O_RDONLY);
    if (file < 0)
        return refused_at("openat");
    return read(file, &byte, 1) < 0 ? refused_at("read") : 0;
}

static int list_directory(const char *path) {
    char entries[4096];
    int directory = open(path, O_RDONLY | O_DIRECTORY);
    if (directory < 0)
        return refused_at("openat");
    return syscall(SYS_getdents64, directory, entries, sizeof entries) < 0 ? refused_at("getdents64") : 0;
}

static int create(const char *path) {
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    return file < 0 ? refused_at("openat") : write_to(file);
}

static int truncate_file(const char *path) {
    return truncate(path, 0) < 0 ? refused_at("truncate") : 0;
}

static int open_truncating(const char *path) {
    return open(path, O_RDONLY | O_TRUNC) < 0 ? refused_at("openat") : 0;
}

static int remove_file(const char *path) {
    return unlink(path) < 0 ? refused_at("unlinkat") : 0;
}

static int make_directory(const char *path) {
    return mkdir(path, 0755) < 0 ? refused_at("mkdirat") : 0;
}

/* "FROM TO" */
static int rename_to(const char *pair) {
    return rename(first_word(pair), rest_of(pair)) < 0 ? refused_at("renameat") : 0;
}

static int exchange(const char *pair) {
    return renameat2(AT_FDCWD, first_word(pair), AT_FDCWD, rest_of(pair), RENAME_EXCHANGE) < 0
               ? refused_at("renameat2")
               : 0;
}

/* Leaves a whiteout, as overlayfs does. */
static int rename_with_whiteout(const char *pair) {
    return renameat2(AT_FDCWD, first_word(pair), AT_FDCWD, rest_of(pair), RENAME_WHITEOUT) < 0
               ? refused_at("renameat2")
               : 0;
}

static int hard_link(const char *pair) {
    return link(first_word(pair), rest_of(pair)) < 0 ? refused_at("linkat") : 0;
}

/* "OLD NEW": links the file and writes through the new name. */
static int write_by_hard_link(const char *pair) {
    if (link(first_word(pair), rest_of(pair)) < 0)
        return refused_at("linkat");
    return write_file(rest_of(pair));
}

static int symbolic_link(const char *pair) {
    return symlink(first_word(pair), rest_of(pair)) < 0 ? refused_at("symlinkat") : 0;
}

/* "TARGET LINK": links and writes through the link. */
static int write_by_link(const char *pair) {
    if (symlink(first_word(pair), rest_of(pair)) < 0)
        return broken_at("symlinkat");
    return write_file(rest_of(pair));
}

/* "TARGET LINK": links and creates what it points to. */
static int create_by_link(const char *pair) {
    int file;
    if (symlink(first_word(pair), rest_of(pair)) < 0)
        return broken_at("symlinkat");
    file = open(rest_of(pair), O_WRONLY | O_CREAT, 0644);
    return file < 0 ? refused_at("openat") : write_to(file);
}

/* "DIRECTORY LINK NAME": links the directory and writes the file beneath the link. */
static int write_beneath_link(const char *three) {
    char path[PATH_MAX];
    char *rest = rest_of(three), *link = first_word(rest);
    if (symlink(first_word(three), link) < 0)
        return broken_at("symlinkat");
    snprintf(path, sizeof path, "%s/%s", link, rest_of(rest));
    return write_file(path);
}

/* "TARGET LINK": a link to a link to a link. */
static int write_by_chain(const char *pair) {
    char *link = rest_of(pair);
    char names[3][PATH_MAX];
    int i;
    for (i = 0; i < 3; i++)
        snprintf(names[i], sizeof names[i], "%s-%d", link, i);
    if (symlink(first_word(pair), names[0]) < 0)
        return broken_at("symlinkat");
    for (i = 1; i < 3; i++)
        if (symlink(strrchr(names[i - 1], '/') + 1, names[i]) < 0)
            return broken_at("symlinkat");
    return write_file(names[2]);
}

/* Through an own descriptor's name: opened for reading, reopened for writing. */
static int reopen_by_descriptor(const char *path) {
    char name[64];
    int file = open(path, O_RDONLY);
    if (file < 0)
        return refused_at("openat");
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    return write_file(name);
}

static int reopen_by_path_descriptor(const char *path) {
    char name[64];
    int file = open(path, O_PATH);
    if (file < 0)
        return refused_at("openat");
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    return write_file(name);
}

static int under(const char *place, const char *path) {
    char name[PATH_MAX];
    snprintf(name, sizeof name, "%s/%s", place, path);
    return write_file(name);
}

static int write_under_proc_cwd(const char *path) { return under("/proc/self/cwd", path); }
static int write_under_proc_root(const char *path) { return under("/proc/self/root", path); }

static int change_mode(const char *path) { return chmod(path, 0777) < 0 ? refused_at("fchmodat") : 0; }

static int change_mode_by_descriptor(const char *path) {
    int file = open(path, O_RDONLY);
    if (file < 0)
        return refused_at("openat");
    return fchmod(file, 0777) < 0 ? refused_at("fchmod") : 0;
}

static int change_owner(const char *path) {
    struct stat found;
    if (stat(path, &found) < 0)
        return refused_at("newfstatat");
    /* Its own owner: the weakest change of all, and for whoever owns it no privilege. */
    return chown(path, geteuid(), getegid()) < 0 ? refused_at("fchownat") : 0;
}

static int change_times(const char *path) {
    const struct timespec times[2] = {{1, 0}, {1, 0}};
    return utimensat(AT_FDCWD, path, times, 0) < 0 ? refused_at("utimensat") : 0;
}

static int touch_now(const char *path) {
    return utimensat(AT_FDCWD, path, NULL, 0) < 0 ? refused_at("utimensat") : 0;
}

static int set_attribute(const char *path) {
    return setxattr(path, "user.mine", "1", 1, 0) < 0 ? refused_at("setxattr") : 0;
}

static int set_overlay_attribute(const char *path) {
    return setxattr(path, "trusted.overlay.opaque", "y", 1, 0) < 0 ? refused_at("setxattr") : 0;
}

static int set_user_overlay_attribute(const char *path) {
    return setxattr(path, "user.overlay.opaque", "y", 1, 0) < 0 ? refused_at("setxattr") : 0;
}

static int set_capability(const char *path) {
    /* VFS_CAP_REVISION_2 with CAP_SYS_ADMIN, effective; see capabilities(7). */
    const unsigned char value[20] = {1, 0, 0, 2, 0, 0, 32, 0};
    return setxattr(path, "security.capability", value, sizeof value, 0) < 0 ? refused_at("setxattr") : 0;
}

static int set_setuid(const char *path) {
    struct stat found;
    int file = open(path, O_WRONLY | O_CREAT, 0755);
    if (file < 0)
        return refused_at("openat");
    if (fchmod(file, 06755) < 0)
        return refused_at("fchmod");
    return fstat(file, &found) == 0 && (found.st_mode & S_ISUID) ? 0 : without_effect("fchmod");
}

static int make_node(const char *path, mode_t kind, dev_t device) {
    return mknod(path, kind | 0666, device) < 0 ? refused_at("mknodat") : 0;
}

static int make_block_device(const char *path) { return make_node(path, S_IFBLK, makedev(8, 0)); }
static int make_char_device(const char *path) { return make_node(path, S_IFCHR, makedev(1, 1)); }
static int make_whiteout(const char *path) { return make_node(path, S_IFCHR, makedev(0, 0)); }
static int make_fifo(const char *path) { return make_node(path, S_IFIFO, 0); }
static int make_socket_node(const char *path) { return make_node(path, S_IFSOCK, 0); }

static int bind_socket(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listening = socket(AF_UNIX, SOCK_STREAM, 0);
    if (listening < 0)
        return refused_at("socket");
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    return bind(listening, (struct sockaddr *)&address, sizeof address) < 0 ? refused_at("bind") : 0;
}

/* "FILE MOUNT": by its handle, past every path. */
static int open_by_handle(const char *pair) {
    struct { struct file_handle head; unsigned char bytes[MAX_HANDLE_SZ]; } handle;
    int mount_id, mount, file;
    memset(&handle, 0, sizeof handle);
    handle.head.handle_bytes = MAX_HANDLE_SZ;
    if (name_to_handle_at(AT_FDCWD, first_word(pair), &handle.head, &mount_id, 0) < 0)
        return refused_at("name_to_handle_at");
    mount = open(rest_of(pair), O_RDONLY | O_DIRECTORY);
    if (mount < 0)
        return refused_at("openat");
    file = open_by_handle_at(mount, &handle.head, O_RDONLY);
    return file < 0 ? refused_at("open_by_handle_at") : 0;
}

/* Whether any descriptor but the standard ones came in, whatever it is; "." or a file to open first,
   as a control. */
static int inherited_descriptors(const char *path) {
    int number;
    if (strcmp(path, ".") != 0 && open(path, O_RDONLY) < 0)
        return broken_at("openat");
    for (number = 3; number < 1024; number++)
        if (fcntl(number, F_GETFD) >= 0)
            return 0;
    errno = EBADF;
    return refused_at("fcntl");
}

static int outside_by_dotdot(const char *path) {
    char name[PATH_MAX];
    snprintf(name, sizeof name, "../../../../../../../../../../../..%s", path);
    return write_file(name);
}

static int shared_mapping(const char *path) {
    char *bytes;
    int file = open(path, O_RDWR);
    if (file < 0)
        return refused_at("openat");
    bytes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (bytes == MAP_FAILED)
        return refused_at("mmap");
    bytes[0] = 'M';
    return 0;
}

/* A shared mapping of what was opened for reading, made writable afterwards. */
static int remap_writable(const char *path) {
    char *bytes;
    int file = open(path, O_RDONLY);
    if (file < 0)
        return refused_at("openat");
    bytes = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    if (bytes == MAP_FAILED)
        return refused_at("mmap");
    if (mprotect(bytes, 4096, PROT_READ | PROT_WRITE) < 0)
        return refused_at("mprotect");
    bytes[0] = 'M';
    return 0;
}

/* "DIRECTORY NAME": a file without a name, that gets one. */
static int unnamed_then_linked(const char *pair) {
    char name[64], path[PATH_MAX];
    int file = open(first_word(pair), O_TMPFILE | O_WRONLY, 0644);
    if (file < 0)
        return refused_at("openat");
    if (write(file, MINE, sizeof MINE - 1) < 0)
        return refused_at("write");
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    snprintf(path, sizeof path, "%s/%s", first_word(pair), rest_of(pair));
    if (linkat(AT_FDCWD, name, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0)
        return refused_at("linkat");
    return 0;
}

/* "FILE": beside it, then over it, as sed -i and editors do. */
static int replace_by_rename(const char *path) {
    char beside[PATH_MAX];
    int file;
    snprintf(beside, sizeof beside, "%s.new.txt", path);
    file = open(beside, O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (file < 0)
        return refused_at("openat");
    if (write(file, MINE, sizeof MINE - 1) < 0)
        return refused_at("write");
    close(file);
    if (rename(beside, path) < 0) {
        int error = errno;
        unlink(beside);
        errno = error;
        return refused_at("renameat");
    }
    return 0;
}

/* "DIRECTORY FILE": moves the directory away and makes another in its place. */
static int replace_directory(const char *pair) {
    char away[PATH_MAX];
    char *directory = first_word(pair);
    int file;
    snprintf(away, sizeof away, "%s-away", directory);
    if (rename(directory, away) < 0)
        return refused_at("renameat");
    if (mkdir(directory, 0755) < 0)
        return refused_at("mkdirat");
    file = open(rest_of(pair), O_WRONLY | O_CREAT, 0644);
    return file < 0 ? refused_at("openat") : write_to(file);
}

/* "DIRECTORY FILE": empties it, removes it, makes it again. */
static int recreate_directory(const char *pair) {
    char *directory = first_word(pair), *path = rest_of(pair);
    int file;
    if (unlink(path) < 0)
        return refused_at("unlinkat");
    if (rmdir(directory) < 0)
        return refused_at("rmdir");
    if (mkdir(directory, 0755) < 0)
        return refused_at("mkdirat");
    file = open(path, O_WRONLY | O_CREAT, 0644);
    return file < 0 ? refused_at("openat") : write_to(file);
}

static int copy_range(const char *pair) {
    int from = open(first_word(pair), O_RDONLY);
    int to = open(rest_of(pair), O_WRONLY);
    if (from < 0)
        return broken_at("openat");
    if (to < 0)
        return refused_at("openat");
    return copy_file_range(from, NULL, to, NULL, 1, 0) < 0 ? refused_at("copy_file_range") : 0;
}

static int preallocate(const char *path) {
    int file = open(path, O_WRONLY);
    if (file < 0)
        return refused_at("openat");
    return fallocate(file, 0, 0, 4096) < 0 ? refused_at("fallocate") : 0;
}

static int make_parents(const char *path) {
    char parent[PATH_MAX];
    size_t at;
    for (at = 1; path[at]; at++)
        if (path[at] == '/') {
            snprintf(parent, sizeof parent, "%.*s", (int)at, path);
            if (mkdir(parent, 0755) < 0 && errno != EEXIST)
                return -1;
        }
    return 0;
}

/* Writes a file, and makes the folders that lead to it. */
static int create_with_parents(const char *path) {
    int file;
    if (make_parents(path) < 0)
        return refused_at("mkdirat");
    file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    return file < 0 ? refused_at("openat") : write_to(file);
}

/* "COUNT DIRECTORY" */
static int create_many(const char *pair) {
    char path[PATH_MAX];
    int i, file;
    if (mkdir(rest_of(pair), 0755) < 0)
        return refused_at("mkdirat");
    for (i = atoi(first_word(pair)); i > 0; i--) {
        snprintf(path, sizeof path, "%s/%06d.txt", rest_of(pair), i);
        file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
        if (file < 0)
            return refused_at("openat");
        close(file);
    }
    return 0;
}

/* "COUNT DIRECTORY": folders in each other, with names of 200 bytes. */
static int make_deep(const char *pair) {
    char name[201];
    int i;
    memset(name, 'd', 200);
    name[200] = 0;
    if (mkdir(rest_of(pair), 0755) < 0 || chdir(rest_of(pair)) < 0)
        return refused_at("mkdirat");
    for (i = atoi(first_word(pair)); i > 0; i--)
        if (mkdir(name, 0755) < 0 || chdir(name) < 0)
            return refused_at("mkdirat");
    return create("file.txt");
}

/* A folder with a file that nobody may look into. */
static int make_unreadable_directory(const char *directory) {
    char path[PATH_MAX];
    int came_to;
    snprintf(path, sizeof path, "%s/file.txt", directory);
    if (mkdir(directory, 0755) < 0)
        return refused_at("mkdirat");
    came_to = create(path);
    if (came_to)
        return came_to;
    return chmod(directory, 0) < 0 ? refused_at("fchmodat") : 0;
}

static int make_unreadable_file(const char *path) {
    int came_to = create(path);
    if (came_to)
        return came_to;
    return chmod(path, 0) < 0 ? refused_at("fchmodat") : 0;
}

/* "ONE OTHER": links that lead to each other. */
static int make_loop(const char *pair) {
    const char *one = strrchr(first_word(pair), '/') + 1;
    const char *other = strrchr(rest_of(pair), '/') + 1;
    if (symlink(other, first_word(pair)) < 0 || symlink(one, rest_of(pair)) < 0)
        return refused_at("symlinkat");
    return 0;
}

/* Leaves a process behind that nobody waits for, in a session of its own, which goes on writing:
   to the file by calls, and through a mapping. "NAME" is what it calls itself. */
static int leave_daemon(const char *name) {
    pid_t child = fork();
    int file;
    if (child < 0)
        return refused_at("fork");
    if (child > 0) {
        int status;
        waitpid(child, &status, 0);
        return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : broken_at("fork");
    }
    file = open("open/daemon.txt", O_RDWR | O_CREAT, 0644);
    if (file < 0 || ftruncate(file, 4096) < 0 || setsid() < 0)
        _exit(1);
    child = fork();
    if (child < 0)
        _exit(1);
    if (child > 0)
        _exit(0);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    dup2(file, 3);
    execl("/proc/self/exe", name, "--write-forever", (char *)NULL);
    _exit(1);
}

const struct attack filesystem_attacks[] = {
    {"write_file", write_file},
    {"append_file", append_file},
    {"open_both_ways", open_both_ways},
    {"read_file", read_file},
    {"list_directory", list_directory},
    {"create", create},
    {"truncate_file", truncate_file},
    {"open_truncating", open_truncating},
    {"remove_file", remove_file},
    {"make_directory", make_directory},
    {"rename_to", rename_to},
    {"exchange", exchange},
    {"rename_with_whiteout", rename_with_whiteout},
    {"hard_link", hard_link},
    {"write_by_hard_link", write_by_hard_link},
    {"symbolic_link", symbolic_link},
    {"write_by_link", write_by_link},
    {"create_by_link", create_by_link},
    {"write_beneath_link", write_beneath_link},
    {"write_by_chain", write_by_chain},
    {"reopen_by_descriptor", reopen_by_descriptor},
    {"reopen_by_path_descriptor", reopen_by_path_descriptor},
    {"write_under_proc_cwd", write_under_proc_cwd},
    {"write_under_proc_root", write_under_proc_root},
    {"change_mode", change_mode},
    {"change_mode_by_descriptor", change_mode_by_descriptor},
    {"change_owner", change_owner},
    {"change_times", change_times},
    {"touch_now", touch_now},
    {"set_attribute", set_attribute},
    {"set_overlay_attribute", set_overlay_attribute},
    {"set_user_overlay_attribute", set_user_overlay_attribute},
    {"set_capability", set_capability},
    {"set_setuid", set_setuid},
    {"make_block_device", make_block_device},
    {"make_char_device", make_char_device},
    {"make_whiteout", make_whiteout},
    {"make_fifo", make_fifo},
    {"make_socket_node", make_socket_node},
    {"bind_socket", bind_socket},
    {"open_by_handle", open_by_handle},
    {"inherited_descriptors", inherited_descriptors},
    {"outside_by_dotdot", outside_by_dotdot},
    {"shared_mapping", shared_mapping},
    {"remap_writable", remap_writable},
    {"unnamed_then_linked", unnamed_then_linked},
    {"replace_by_rename", replace_by_rename},
    {"replace_directory", replace_directory},
    {"recreate_directory", recreate_directory},
    {"copy_range", copy_range},
    {"preallocate", preallocate},
    {"create_with_parents", create_with_parents},
    {"create_many", create_many},
    {"make_deep", make_deep},
    {"make_unreadable_directory", make_unreadable_directory},
    {"make_unreadable_file", make_unreadable_file},
    {"make_loop", make_loop},
    {"leave_daemon", leave_daemon},
    {NULL, NULL},
};
