/* Attacks on how much of the machine one command may use. */
#include "attack.h"

#include <stdlib.h>

const struct attack limits_attacks[] = {
    {NULL, NULL},
};
