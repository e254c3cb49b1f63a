/* What may be done to files of the workspace: `keep` is immutable, `src` mutable, `mixed` both. */
#include "layers.h"
#include <linux/random.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

static long closing(int handle) {
    if (handle >= 0)
        close(handle);
    return handle;
}

/* Each right to files that Landlock knows, on what is not granted. */
static void immutable(void) {
    tell("keep-write", closing(open("keep/write", O_WRONLY | O_CLOEXEC)));
    tell("keep-truncate", truncate("keep/truncate", 1));
    tell("keep-make-file", mknod("keep/new", S_IFREG | 0600, 0));
    tell("keep-make-folder", mkdir("keep/new-folder", 0700));
    tell("keep-make-link", symlink("x", "keep/new-link"));
    tell("keep-make-fifo", mknod("keep/new-fifo", S_IFIFO | 0600, 0));
    tell("keep-make-socket", mknod("keep/new-socket", S_IFSOCK | 0600, 0));
    tell("keep-make-character", mknod("keep/new-character", S_IFCHR, 0));
    tell("keep-make-block", mknod("keep/new-block", S_IFBLK | 0600, makedev(7, 0)));
    tell("keep-hard-link", link("keep/link", "keep/folder/link"));
    tell("keep-remove", unlink("keep/remove"));
    tell("keep-remove-folder", rmdir("keep/folder"));
}

static void mutable(void) {
    tell("src-write", closing(open("src/write", O_WRONLY | O_CLOEXEC)));
    tell("src-make-character", mknod("src/whiteout", S_IFCHR, 0));
    tell("src-make-block", mknod("src/block", S_IFBLK | 0600, makedev(7, 0)));
    int entropy, device = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    tell("device-request", ioctl(device, RNDGETENTCNT, &entropy));
    closing(device);
}

/* A folder that holds both: others' files stay as they are. */
static void mixed(void) {
    tell("mixed-write", closing(open("mixed/keep.md", O_WRONLY | O_CLOEXEC)));
    tell("mixed-make-file", closing(open("mixed/sub/new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)));
    tell("mixed-rename", rename("mixed/a.txt", "mixed/keep.md"));
    tell("mixed-remove", unlink("mixed/keep.md"));
    tell("mixed-mode", chmod("mixed", 0777));
}

/* The workspace's own folder, which is mixed where a rule names files in it. */
static void top(void) {
    tell("top-write", closing(open("keep.top", O_WRONLY | O_CLOEXEC)));
    tell("top-remove", unlink("keep.top"));
    tell("top-mode", chmod(".", 0777));
}

void files(void) {
    immutable();
    mutable();
    mixed();
    top();
}
