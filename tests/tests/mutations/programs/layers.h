/* What all parts of the program share: a case is a name and a word for how it ended. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the test made outside. */
struct outside {
    int pid;              /* a process of the caller's own uid */
    int port;             /* a listener on the host's loopback interface, and its abstract socket */
    int key;              /* a SysV message queue that everybody may use */
    const char *folder;   /* a folder that everybody may read: `canary`, `script`, `list/` */
    const char *view;     /* a folder that sandboxes are shown read-only */
    int is_much;          /* also tries to take too much, which takes time */
};
extern struct outside outside;

/* Prints one line: the case, then how it ended. */
void say(const char *name, const char *word);
/* The same for a call that returned `result`: `ok`, or the name of the errno. */
void tell(const char *name, long result);
const char *errno_name(int number);

void identity(void);
void surroundings(void);
void mounts(void);
void files(void);
void limits(void);
void system_calls(void);
