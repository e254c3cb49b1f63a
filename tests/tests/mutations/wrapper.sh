# Starts the words as a careless caller: with a descriptor that stays open, groups, capabilities to
# inherit, and mounts that others would see. WRAP_UID and WRAP_CANARY say who calls and what the
# descriptor is of. What is removed may be what keeps a sandbox's end from the machine's own files:
# here they cannot be written, but for WRAP_OPEN, whose changes are lost with this shell.
for place in /usr /bin /sbin /lib /lib64 /etc /opt /home /root /boot /mnt /work; do
    if [ -d $place ] && [ ! -L $place ] && [ $place != "$WRAP_OPEN" ]; then
        mount --bind $place $place && mount -o remount,bind,ro $place || exit 125
    fi
done
if [ -n "$WRAP_OPEN" ]; then
    scratch=${AUTOCLAVE_STATE_DIR%/*}/scratch
    mkdir "$scratch" && mount -t tmpfs tmpfs "$scratch" && mkdir "$scratch/upper" "$scratch/work" &&
        mount -t overlay overlay "$WRAP_OPEN" \
            -o "lowerdir=$WRAP_OPEN,upperdir=$scratch/upper,workdir=$scratch/work" || exit 125
fi
mount --make-rshared /
setpriv --reuid "$WRAP_UID" --regid "$WRAP_UID" --groups "$WRAP_UID,64900" --inh-caps +net_raw -- \
    timeout --kill-after 5 60 "$@" 9<"$WRAP_CANARY"
code=$?
if grep -q "$AUTOCLAVE_STATE_DIR" /proc/self/mountinfo; then
    printf 'mounts-outside\tsome\n'
else
    printf 'mounts-outside\tnone\n'
fi
exit $code
