/* What an attack is: one function that tries one thing, and says how far it got. */
#ifndef ATTACK_H
#define ATTACK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>

/* Returns 0 when it got through, what `refused_at` or `broken_at` returned when not. `argument` is
   never NULL. It may fork, hang, crash: it runs in a process group of its own, for a few seconds. */
typedef int attack_function(const char *argument);

struct attack {
    const char *name;
    attack_function *attack;
};

/* The last of each array has no name. */
extern const struct attack filesystem_attacks[];
extern const struct attack limits_attacks[];
extern const struct attack network_attacks[];
extern const struct attack process_attacks[];
extern const struct attack kernel_attacks[];
extern const struct attack environment_attacks[];

/* Is somebody outside, until standard input ends; see processes_victim.c. */
int be_victim(void);

/* Ends an attack: `call` has just been refused, for the reason that errno holds. */
int refused_at(const char *call);
/* Ends an attack that could not even be tried: `call` prepares it, and failed. Never expected. */
int broken_at(const char *call);
/* Ends an attack that was let through and had no effect; `what` says how that was seen. */
int without_effect(const char *what);

/* Returns the part of "first second" before or after the first space, in memory of its own. */
char *first_word(const char *argument);
char *rest_of(const char *argument);

#endif
