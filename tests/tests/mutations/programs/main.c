/* Says of each layer of a sandbox whether it is in force, from inside, one line a case.
 *
 * Where several layers deny the same thing, the case asks in a way that only one of them answers
 * so: by its errno, or by asking the layer itself. Everything here is harmless without a sandbox. */
#include "layers.h"

struct outside outside;

void say(const char *name, const char *word) {
    printf("%s\t%s\n", name, word);
    fflush(stdout);
}

const char *errno_name(int number) {
    static char text[16];
    const char *name = strerrorname_np(number);
    if (name)
        return name;
    snprintf(text, sizeof text, "%d", number);
    return text;
}

void tell(const char *name, long result) {
    say(name, result < 0 ? errno_name(errno) : "ok");
}

int main(int count, char **words) {
    if (count != 7)
        return 2;
    outside = (struct outside){atoi(words[1]), atoi(words[2]), atoi(words[3]), words[4], words[5], !strcmp(words[6], "much")};
    identity();
    surroundings();
    mounts();
    system_calls();
    files();
    limits();
    say("end", "reached");
    return 0;
}
