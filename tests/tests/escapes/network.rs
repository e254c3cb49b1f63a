//! Ways to somebody outside: addresses, protocols, sockets in the file system, and the kernel.

use crate::case::Control::{ByRoot, With};
use crate::case::Outcome::{Denied, Open};
use crate::case::{Case, Group};
use crate::listeners::listeners;
use crate::measured::Measured;
use crate::play::Scene;
use crate::row::{CONTAINERS, LANDLOCK, Row};

crate::on_each_row!(crate::network::GROUP);

pub const GROUP: Group = Group {
    name: "network",
    cases: CASES,
    surroundings: listeners,
};

/// No sockets at all are made there.
const NO_SOCKETS: &str = "EAFNOSUPPORT";

/// A way out that ends in an empty network namespace.
const fn way(
    name: &'static str,
    attack: &'static str,
    argument: &'static str,
    errnos: &'static str,
) -> Case {
    Case::denied(name, attack, argument, errnos).on(LANDLOCK, Denied(NO_SOCKETS))
}

/// An address that answers in no network but the one which the control makes for itself.
const fn address(name: &'static str, argument: &'static str) -> Case {
    way(name, "in_own_network", argument, "ENETUNREACH")
}

/// Engines switch IPv6 off where there is no network, or leave it empty.
const fn over_ipv6(case: &Case) -> Case {
    (*case).on(CONTAINERS, Denied("EADDRNOTAVAIL ENETUNREACH ECONNREFUSED"))
}

/// A socket that is not even made.
const fn socket(name: &'static str, argument: &'static str, errno: &'static str) -> Case {
    way(name, "socket", argument, errno)
}

/// A socket in the file system.
const fn path(name: &'static str, argument: &'static str) -> Case {
    way(name, "connect_path", argument, "ENOENT")
}

const CASES: &[Case] = &[
    // The host itself.
    way(
        "the host's loopback",
        "connect_tcp",
        "127.0.0.1 {tcp}",
        "ECONNREFUSED",
    ),
    way(
        "the host's loopback by another of its addresses",
        "connect_tcp",
        "0.0.0.0 {tcp}",
        "ECONNREFUSED",
    ),
    over_ipv6(&way(
        "the host's loopback over IPv6",
        "connect_tcp",
        "::1 {tcp6}",
        "ECONNREFUSED",
    )),
    way(
        "the host's loopback, mapped into IPv6",
        "connect_tcp",
        "::ffff:127.0.0.1 {tcp}",
        "ECONNREFUSED",
    ),
    way(
        "UDP to the host's loopback",
        "exchange_udp",
        "127.0.0.1 {udp}",
        "ECONNREFUSED",
    ),
    way(
        "TCP Fast Open to the host's loopback",
        "fast_open",
        "127.0.0.1 {tcp}",
        "ECONNREFUSED",
    ),
    way(
        "MPTCP to the host's loopback",
        "connect_mptcp",
        "127.0.0.1 {tcp}",
        "EPROTONOSUPPORT",
    ),
    way(
        "bash's /dev/tcp to the host's loopback",
        "use_shell",
        "127.0.0.1 {tcp}",
        "ECONNREFUSED",
    ),
    // Elsewhere.
    address("TCP to another machine", "connect_tcp 198.51.100.7 443"),
    over_ipv6(&address(
        "TCP over IPv6 to another machine",
        "connect_tcp 2001:db8::7 443",
    )),
    address("UDP to another machine", "exchange_udp 198.51.100.7 443"),
    over_ipv6(&address(
        "UDP over IPv6 to another machine",
        "exchange_udp 2001:db8::7 443",
    )),
    address(
        "TCP Fast Open to another machine",
        "fast_open 198.51.100.7 443",
    ),
    address(
        "bash's /dev/tcp to another machine",
        "use_shell 198.51.100.7 443",
    ),
    address("a DNS query", "ask_dns 198.51.100.53 53"),
    over_ipv6(&address("a DNS query over IPv6", "ask_dns 2001:db8::53 53")),
    // Where clouds hand out credentials, in all spellings that programs take.
    address("metadata service", "connect_tcp 169.254.169.254 80"),
    address("metadata service, decimal", "connect_tcp 2852039166 80"),
    address("metadata service, hexadecimal", "connect_tcp 0xA9FEA9FE 80"),
    address(
        "metadata service, octal",
        "connect_tcp 0251.0376.0251.0376 80",
    ),
    address(
        "metadata service, three parts",
        "connect_tcp 169.254.43518 80",
    ),
    address(
        "metadata service, two parts",
        "connect_tcp 0xa9.16689662 80",
    ),
    address(
        "metadata service, mapped into IPv6",
        "connect_tcp ::ffff:169.254.169.254 80",
    ),
    address(
        "metadata service, mapped, hexadecimal",
        "connect_tcp ::ffff:a9fe:a9fe 80",
    ),
    over_ipv6(&address(
        "metadata service over IPv6",
        "connect_tcp fd00:ec2::254 80",
    )),
    // What is no ordinary connection.
    socket("ICMP, raw", "2 3 1", "EPERM").control(ByRoot),
    socket("ICMP over IPv6, raw", "10 3 58", "EPERM").control(ByRoot),
    socket("IP, raw", "2 3 255", "EPERM").control(ByRoot),
    socket("packets, raw", "17 3 768", "EAFNOSUPPORT").control(ByRoot),
    socket("packets, cooked", "17 2 768", "EAFNOSUPPORT").control(ByRoot),
    socket("packets, by the old type", "2 10 768", "EPERM").control(ByRoot),
    socket("MPTCP", "2 1 262", "EPROTONOSUPPORT"),
    socket("MPTCP over IPv6", "10 1 262", "EPROTONOSUPPORT"),
    socket("UDP-Lite", "2 2 136", "EPROTONOSUPPORT"),
    socket("VSOCK, to the hypervisor", "40 1 0", "EAFNOSUPPORT"),
    // Whether the kernel has these or not: the filter says no first.
    way("SCTP", "filtered", "socket 2 1 132", "EPROTONOSUPPORT"),
    way("DCCP", "filtered", "socket 2 6 33", "EPROTONOSUPPORT"),
    way(
        "ICMP, as an echo alone",
        "filtered",
        "socket 2 2 1",
        "EPROTONOSUPPORT",
    ),
    way(
        "the kernel's cryptography",
        "filtered",
        "socket 38 5 0",
        "EAFNOSUPPORT",
    ),
    way("Bluetooth", "filtered", "socket 31 3 1", "EAFNOSUPPORT"),
    // The kernel's own interfaces.
    socket("netlink: user sockets", "16 3 2", "EPROTONOSUPPORT"),
    socket("netlink: socket diagnosis", "16 3 4", "EPROTONOSUPPORT"),
    socket("netlink: IPsec", "16 3 6", "EPROTONOSUPPORT"),
    socket("netlink: audit", "16 3 9", "EPROTONOSUPPORT"),
    socket(
        "netlink: routes by the old interface",
        "16 3 10",
        "EPROTONOSUPPORT",
    ),
    socket("netlink: connector", "16 3 11", "EPROTONOSUPPORT"),
    socket("netlink: netfilter", "16 3 12", "EPROTONOSUPPORT"),
    socket("netlink: devices", "16 3 15", "EPROTONOSUPPORT"),
    socket("netlink: generic", "16 3 16", "EPROTONOSUPPORT"),
    Case::harmless(
        "netlink: own interfaces",
        "list_interfaces",
        "",
        "programs ask for their own addresses; there is the loopback alone",
    )
    .on(LANDLOCK, Denied(NO_SOCKETS)),
    way(
        "netlink: change an interface",
        "change_interface",
        "",
        "EPERM",
    )
    .control(ByRoot),
    Case::harmless(
        "talk to oneself",
        "own_loopback",
        "127.0.0.1",
        "tests of network code need it, and nobody else is there",
    )
    .on(LANDLOCK, Denied(NO_SOCKETS)),
    // Sockets without an address.
    way(
        "an abstract unix socket",
        "connect_abstract",
        "{abstract}",
        "ECONNREFUSED",
    ),
    path("a container engine", "{run}/docker.sock"),
    path("the session bus", "{run}/bus"),
    path("an ssh agent", "{tmp-of-host}/agent.1"),
    path("a tmux server", "{tmp-of-host}/default"),
    way("a log, by datagrams", "send_to_path", "{run}/log", "ENOENT"),
    path(
        "a container engine, at its usual place",
        "/var/run/docker.sock",
    )
    .control(With("{run}/docker.sock")),
    path("Podman, at its usual place", "/run/podman/podman.sock")
        .control(With("{run}/docker.sock")),
    path(
        "the system bus, at its usual place",
        "/run/dbus/system_bus_socket",
    )
    .control(With("{run}/bus")),
    Case {
        expected: [SHOWN; 6],
        ..path(
            "a socket in a folder that the policy shows",
            "{shown}/docker.sock",
        )
    }
    .on(LANDLOCK, Denied(NO_SOCKETS)),
];

const SHOWN: crate::case::Outcome =
    Open("What the agent may read: whoever lists a folder under `read` shows its sockets, too");

#[test]
fn the_rows_without_sockets_are_those_of_the_landlock_level() {
    let refuses = |row: Row| {
        CASES
            .iter()
            .all(|case| case.expected_on(row) == Denied(NO_SOCKETS))
    };
    assert_eq!(
        Row::ALL
            .into_iter()
            .filter(|row| refuses(*row))
            .collect::<Vec<_>>(),
        LANDLOCK
    );
}

/// What the agent's session has there, as it needs the gateway's socket. A filter cannot read paths.
fn sockets_beside_the_gateway(row: Row) {
    if row.setup().is_skipped() {
        return;
    }
    let script = "
sessions:
  - - tools: [{name: Bash, input: {command: './attack < cases'}}]
    - text: Nothing.
";
    let scene = Scene::new(row, "model: sonnet", &[]);
    let around = listeners(&scene.place);
    let expected = [
        (
            "a unix socket of the host",
            "connect_path",
            "{run}/bus",
            "done",
        ),
        ("an abstract one", "connect_abstract", "{abstract}", "EPERM"),
        ("TCP", "filtered", "socket 2 1 6", "EAFNOSUPPORT"),
        (
            "UDP over IPv6",
            "filtered",
            "socket 10 2 17",
            "EAFNOSUPPORT",
        ),
        ("netlink", "filtered", "socket 16 3 0", "EAFNOSUPPORT"),
        ("VSOCK", "filtered", "socket 40 1 0", "EAFNOSUPPORT"),
    ];
    let lines = expected.map(|(name, attack, argument, _)| {
        let argument = scene.place.fill_in(argument, &around);
        format!("{name}\t{attack}\t{argument}\n")
    });
    scene.stage.write("cases", lines.concat());
    scene.stage.commit_all("the cases");
    let scene = scene.with_script(script);

    // 3: nothing was kept, as nobody tried.
    let ended = scene.stage.autoclave(&["run", "-m", "escapes"]).expect(3);

    let measured = Measured::parse(&scene.stage.told());
    for (name, _, _, word) in expected {
        let came_to = measured.get(name).map(|measured| measured.word.as_str());
        assert_eq!(came_to, Some(word), "{name}\n{ended}");
    }
    let bus = scene
        .place
        .fill_in("somebody connected to {run}/bus", &around);
    assert_eq!((around.harm)(), [bus]);
}

#[test]
fn beside_the_gateway_the_landlock_level_makes_unix_sockets_only_as_root() {
    sockets_beside_the_gateway(Row::LandlockAsRoot);
}

#[test]
fn beside_the_gateway_the_landlock_level_makes_unix_sockets_only_as_an_ordinary_user() {
    sockets_beside_the_gateway(Row::LandlockAsUser);
}
