/* What the files of the network group share. */
#ifndef NETWORK_H
#define NETWORK_H

#include "attack.h"

#include <sys/socket.h>

/* An address of either family, and its length. */
struct place {
    struct sockaddr_storage address;
    socklen_t length;
};

/* Reads "HOST PORT" (or "HOST PORT MORE") in every spelling that programs take. */
int find_place(const char *argument, struct place *place);

attack_function make_socket, connect_tcp, connect_mptcp, fast_open, exchange_udp, ask_dns;
attack_function use_shell, connect_path, connect_abstract, send_to_path, change_interface, list_interfaces;
attack_function own_loopback, in_own_network;

#endif
