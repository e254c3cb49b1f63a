/* What the files of the kernel group share. */
#ifndef KERNEL_H
#define KERNEL_H

#include "attack.h"

attack_function reach_kernel, filtered, legacy_interface;
attack_function unshare_one, clone_one, clone3_one, join_own;
attack_function mount_tmpfs, mount_bind, unmount, change_root_mount, change_root, mount_by_descriptors;
attack_function clone_mount, change_mount, reconfigure_mount;
attack_function use_ring, use_bpf, use_perf, use_faults, use_keyring, add_key_here, ask_for_key;
attack_function type_into_terminal;
attack_function become_user, become_group, become_groups, gain_capability, run_setuid, is_root;
attack_function shared_memory, semaphores, messages, message_queue, remove_queue, named_memory;
attack_function rename_host, adjust_clock, change_personality, open_to_write, watch_files;

/* Runs an attack in a child: some need a session, a filter or a namespace of their own. */
int in_child(attack_function *attack, const char *argument);
/* Leaves the host's mounts, so that an attack that gets through harms nobody. */
int leave_mounts(void);

#endif
