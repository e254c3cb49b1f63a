# Starts the words as a careless caller: with a descriptor that stays open, groups, capabilities to
# inherit, and mounts that others would see. UID, GROUPS and CANARY say more.
mount --make-rshared /
before=$(wc -l </proc/self/mountinfo)
setpriv --reuid "$WRAP_UID" --regid "$WRAP_UID" --groups "$WRAP_UID,64900" --inh-caps +net_raw -- \
    timeout --kill-after 5 60 "$@" 9<"$WRAP_CANARY"
code=$?
# What a dead sandbox mounted in a namespace of its own is not seen here.
if [ "$before" = "$(wc -l </proc/self/mountinfo)" ]; then
    printf 'mounts-outside\tnone\n'
else
    printf 'mounts-outside\tsome\n'
fi
exit $code
