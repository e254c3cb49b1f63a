/* Attacks on the network: every way to reach somebody outside. */
#include "network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

const struct attack network_attacks[] = {
    {"socket", make_socket},
    {"connect_tcp", connect_tcp},
    {"connect_mptcp", connect_mptcp},
    {"fast_open", fast_open},
    {"exchange_udp", exchange_udp},
    {"ask_dns", ask_dns},
    {"use_shell", use_shell},
    {"connect_path", connect_path},
    {"connect_abstract", connect_abstract},
    {"send_to_path", send_to_path},
    {"change_interface", change_interface},
    {"list_interfaces", list_interfaces},
    {"own_loopback", own_loopback},
    {"in_own_network", in_own_network},
    {NULL, NULL},
};

int find_place(const char *argument, struct place *place) {
    char *host = first_word(argument), *port = first_word(rest_of(argument));
    struct sockaddr_in *v4 = (struct sockaddr_in *)&place->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&place->address;
    memset(place, 0, sizeof *place);
    if (strchr(host, ':')) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)atoi(port));
        place->length = sizeof *v6;
        return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1 ? 0 : -1;
    }
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)atoi(port));
    place->length = sizeof *v4;
    /* Not inet_pton: this one also reads decimal, octal and hexadecimal, as most programs do. */
    return inet_aton(host, &v4->sin_addr) ? 0 : -1;
}

/* "FAMILY TYPE PROTOCOL", as numbers. */
int make_socket(const char *argument) {
    char *type = rest_of(argument);
    int made = socket(atoi(argument), atoi(type), atoi(rest_of(type)));
    return made < 0 ? refused_at("socket") : 0;
}

static int connect_by(const char *argument, int protocol) {
    struct place place;
    int stream;
    if (find_place(argument, &place) < 0)
        return broken_at("read the address");
    stream = socket(place.address.ss_family, SOCK_STREAM, protocol);
    if (stream < 0)
        return refused_at("socket");
    return connect(stream, (struct sockaddr *)&place.address, place.length) < 0 ? refused_at("connect") : 0;
}

int connect_tcp(const char *argument) { return connect_by(argument, 0); }

int connect_mptcp(const char *argument) { return connect_by(argument, IPPROTO_MPTCP); }

/* Connects by sending: what only looks at connect(2) does not see it. */
int fast_open(const char *argument) {
    struct place place;
    int stream;
    if (find_place(argument, &place) < 0)
        return broken_at("read the address");
    stream = socket(place.address.ss_family, SOCK_STREAM, 0);
    if (stream < 0)
        return refused_at("socket");
    if (sendto(stream, "hello", 5, MSG_FASTOPEN, (struct sockaddr *)&place.address, place.length) < 0)
        return refused_at("sendto");
    return 0;
}

/* Sends a datagram; only an answer shows that it came through. */
static int ask(const char *argument, const void *question, size_t length) {
    struct place place;
    struct timeval patience = {2, 0};
    char answer[512];
    int datagrams;
    if (find_place(argument, &place) < 0)
        return broken_at("read the address");
    datagrams = socket(place.address.ss_family, SOCK_DGRAM, 0);
    if (datagrams < 0)
        return refused_at("socket");
    if (setsockopt(datagrams, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0)
        return broken_at("setsockopt");
    if (connect(datagrams, (struct sockaddr *)&place.address, place.length) < 0)
        return refused_at("connect");
    if (send(datagrams, question, length, 0) < 0)
        return refused_at("sendto");
    return recv(datagrams, answer, sizeof answer, 0) < 0 ? refused_at("recvfrom") : 0;
}

int exchange_udp(const char *argument) { return ask(argument, "hello", 5); }

int ask_dns(const char *argument) {
    static const char question[] =
        "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06secret\x07""example\x00\x00\x01\x00\x01";
    return ask(argument, question, sizeof question - 1);
}

/* "HOST PORT": bash opens connections by itself. Its words tell which call failed. */
int use_shell(const char *argument) {
    char script[256], said[1024] = "";
    char *host = first_word(argument), *port = rest_of(argument);
    int ends[2], status, number;
    ssize_t length, total = 0;
    pid_t child;
    snprintf(script, sizeof script, "exec 3<>/dev/tcp/%s/%s", host, port);
    if (pipe(ends) < 0)
        return broken_at("pipe");
    child = fork();
    if (child < 0)
        return broken_at("fork");
    if (child == 0) {
        char *const arguments[] = {"bash", "-c", script, NULL};
        char *const environment[] = {"LC_ALL=C", NULL};
        dup2(ends[1], 2);
        execve("/bin/bash", arguments, environment);
        _exit(126);
    }
    close(ends[1]);
    while ((length = read(ends[0], said + total, sizeof said - 1 - (size_t)total)) > 0)
        total += length;
    waitpid(child, &status, 0);
    if (status == 0)
        return 0;
    for (number = 1; number < 134; number++) {
        if (strstr(said, strerror(number))) {
            errno = number;
            return refused_at("bash");
        }
    }
    return broken_at("execve");
}

/* A server and a client of the sandbox's own: what tests of network code need. */
int own_loopback(const char *host) {
    struct place place;
    char address[64];
    int server, client;
    snprintf(address, sizeof address, "%s 0", host);
    if (find_place(address, &place) < 0)
        return broken_at("read the address");
    server = socket(place.address.ss_family, SOCK_STREAM, 0);
    client = socket(place.address.ss_family, SOCK_STREAM, 0);
    if (server < 0 || client < 0)
        return refused_at("socket");
    if (bind(server, (struct sockaddr *)&place.address, place.length) < 0)
        return refused_at("bind");
    if (listen(server, 1) < 0 || getsockname(server, (struct sockaddr *)&place.address, &place.length) < 0)
        return refused_at("listen");
    return connect(client, (struct sockaddr *)&place.address, place.length) < 0 ? refused_at("connect") : 0;
}
