/* Unix sockets, netlink, and a network made for controls. */
#include "network.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int connect_unix(const char *name, size_t skipped, int type) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + skipped + strlen(name));
    int made;
    if (skipped + strlen(name) >= sizeof address.sun_path)
        return broken_at("fit the name into an address");
    strcpy(address.sun_path + skipped, name);
    made = socket(AF_UNIX, type, 0);
    if (made < 0)
        return refused_at("socket");
    if (connect(made, (struct sockaddr *)&address, skipped ? length : length + 1) < 0)
        return refused_at("connect");
    return send(made, "hello", 5, MSG_NOSIGNAL) < 0 ? refused_at("sendto") : 0;
}

int connect_path(const char *path) { return connect_unix(path, 0, SOCK_STREAM); }

/* Datagrams go by another hook of the kernel's. */
int send_to_path(const char *path) { return connect_unix(path, 0, SOCK_DGRAM); }

/* Names that begin with a zero byte are in no file system. */
int connect_abstract(const char *name) { return connect_unix(name, 1, SOCK_STREAM); }

struct request {
    struct nlmsghdr head;
    union {
        struct ifinfomsg link;
        struct ifaddrmsg address;
        struct rtgenmsg general;
    } body;
    char attributes[64];
};

/* Sends one request to the kernel; returns its answer, 0 or an errno, or -1 where there is none. */
static int tell_kernel(int netlink, struct request *request, size_t length) {
    char answer[8192];
    struct nlmsghdr *head = (struct nlmsghdr *)answer;
    request->head.nlmsg_len = (uint32_t)length;
    if (send(netlink, request, length, 0) < 0 || recv(netlink, answer, sizeof answer, 0) < 0)
        return -1;
    if (head->nlmsg_type == NLMSG_ERROR)
        return -((struct nlmsgerr *)NLMSG_DATA(head))->error;
    return 0;
}

/* Sets the loopback interface up, which it is: nothing changes, and still it takes a privilege. */
static int raise_loopback(int netlink) {
    struct request request;
    memset(&request, 0, sizeof request);
    request.head.nlmsg_type = RTM_NEWLINK;
    request.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    request.body.link.ifi_index = 1;
    request.body.link.ifi_flags = request.body.link.ifi_change = IFF_UP;
    return tell_kernel(netlink, &request, NLMSG_LENGTH(sizeof request.body.link));
}

int change_interface(const char *argument) {
    int answer, netlink = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    (void)argument;
    if (netlink < 0)
        return refused_at("socket");
    answer = raise_loopback(netlink);
    if (answer == 0)
        return 0;
    if (answer > 0)
        errno = answer;
    return refused_at("RTM_NEWLINK");
}

/* What getifaddrs(3) does, which many programs need. */
int list_interfaces(const char *argument) {
    struct request request;
    int answer, netlink = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    (void)argument;
    if (netlink < 0)
        return refused_at("socket");
    memset(&request, 0, sizeof request);
    request.head.nlmsg_type = RTM_GETADDR;
    request.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.body.general.rtgen_family = AF_UNSPEC;
    answer = tell_kernel(netlink, &request, NLMSG_LENGTH(sizeof request.body.general));
    if (answer == 0)
        return 0;
    if (answer > 0)
        errno = answer;
    return refused_at("RTM_GETADDR");
}

static int add_address(int netlink, const struct place *place) {
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&place->address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&place->address;
    int is_v4 = place->address.ss_family == AF_INET;
    size_t length = is_v4 ? sizeof v4->sin_addr : sizeof v6->sin6_addr;
    struct request request;
    struct rtattr *attribute;
    memset(&request, 0, sizeof request);
    request.head.nlmsg_type = RTM_NEWADDR;
    request.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE;
    request.body.address.ifa_family = (uint8_t)place->address.ss_family;
    request.body.address.ifa_prefixlen = is_v4 ? 32 : 128;
    request.body.address.ifa_flags = IFA_F_NODAD;
    request.body.address.ifa_index = 1;
    attribute = (struct rtattr *)((char *)&request + NLMSG_LENGTH(sizeof request.body.address));
    attribute->rta_type = IFA_LOCAL;
    attribute->rta_len = (unsigned short)RTA_LENGTH(length);
    memcpy(RTA_DATA(attribute), is_v4 ? (const void *)&v4->sin_addr : (const void *)&v6->sin6_addr, length);
    return tell_kernel(netlink, &request, NLMSG_LENGTH(sizeof request.body.address) + attribute->rta_len);
}

/* A mapped address is one of version 4. */
static void unmap(struct place *place) {
    struct sockaddr_in6 v6 = *(struct sockaddr_in6 *)&place->address;
    struct sockaddr_in *v4 = (struct sockaddr_in *)&place->address;
    if (v6.sin6_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
        return;
    memset(place, 0, sizeof *place);
    v4->sin_family = AF_INET;
    v4->sin_port = v6.sin6_port;
    memcpy(&v4->sin_addr, v6.sin6_addr.s6_addr + 12, 4);
    place->length = sizeof *v4;
}

/* Answers callers, or datagrams, until this process group ends. */
static int serve(const struct place *place, int type) {
    int i, served = socket(place->address.ss_family, type, 0);
    char question[512];
    struct place caller;
    pid_t child;
    /* An address of version 6 is not there at once. */
    for (i = 0; bind(served, (const struct sockaddr *)&place->address, place->length) < 0; i++) {
        if (errno != EADDRNOTAVAIL || i == 200)
            return -1;
        nanosleep(&(struct timespec){0, 5 * 1000 * 1000}, NULL);
    }
    if (type == SOCK_STREAM && listen(served, 64) < 0)
        return -1;
    child = fork();
    while (child == 0) {
        ssize_t length;
        caller.length = sizeof caller.address;
        if (type == SOCK_STREAM) {
            close(accept(served, NULL, NULL));
            continue;
        }
        length = recvfrom(served, question, sizeof question, 0, (struct sockaddr *)&caller.address, &caller.length);
        if (length > 0)
            sendto(served, question, (size_t)length, 0, (struct sockaddr *)&caller.address, caller.length);
    }
    return child;
}

/* The kernel finishes addresses of version 6 a moment later: waits until both servers answer. */
static int is_up(const struct place *place) {
    const struct timeval patience = {0, 20 * 1000};
    const struct sockaddr *address = (const struct sockaddr *)&place->address;
    int answered[2] = {0, 0}, i;
    for (i = 0; i < 200 && !(answered[0] && answered[1]); i++) {
        char byte = 0;
        int stream = socket(address->sa_family, SOCK_STREAM, 0);
        int datagrams = socket(address->sa_family, SOCK_DGRAM, 0);
        setsockopt(stream, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        setsockopt(datagrams, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (connect(stream, address, place->length) == 0)
            answered[0] = 1;
        if (connect(datagrams, address, place->length) == 0 && send(datagrams, &byte, 1, 0) == 1)
            answered[1] |= recv(datagrams, &byte, 1, 0) == 1;
        close(stream);
        close(datagrams);
        if (!answered[0])
            nanosleep(&(struct timespec){0, 5 * 1000 * 1000}, NULL);
    }
    return answered[0] && answered[1];
}

/* "ATTACK HOST PORT": where a new network can be made, makes one in which that address answers; then
 * attacks. The control of addresses that no machine should really have: unconfined this succeeds. */
int in_own_network(const char *argument) {
    char *name = first_word(argument), *rest = rest_of(argument);
    const struct attack *attack;
    struct place place;
    if (find_place(rest, &place) < 0)
        return broken_at("read the address");
    if (unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) {
        int netlink = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
        unmap(&place);
        if (netlink < 0)
            return broken_at("socket");
        if (raise_loopback(netlink) != 0 || add_address(netlink, &place) != 0)
            return broken_at("RTM_NEWADDR");
        if (serve(&place, SOCK_STREAM) < 0 || serve(&place, SOCK_DGRAM) < 0)
            return broken_at("serve");
        if (!is_up(&place))
            return broken_at("reach the own servers");
    }
    for (attack = network_attacks; attack->name; attack++)
        if (strcmp(attack->name, name) == 0)
            return attack->attack(rest);
    return broken_at("find the attack");
}
