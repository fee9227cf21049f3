//! How many network sockets a run holds. The kernel charges nobody for a connection that was not
//! accepted yet, nor for what waits in it (seen: 1.2 GB of the host's memory in seven seconds from a
//! run charged nine megabytes). So they are counted, by the kernel's own count of the run's network
//! namespace, and each can hold only what the namespace's `tcp_rmem` allows.
#![forbid(unsafe_code)]

use std::io;
use std::time::Duration;

use nix::unistd::Pid;

/// How often a running run's sockets are counted: it makes some two hundred meanwhile.
pub const PERIOD: Duration = Duration::from_millis(100);

/// TCP and UDP sockets, both address families, in the network namespace of this process.
pub fn count(member: Pid) -> io::Result<u64> {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{member}/net/{file}"));
    let four = in_use(&read("sockstat")?);
    // Absent on hosts without IPv6.
    let six = read("sockstat6").map_or(0, |text| in_use(&text));
    Ok(four + six)
}

/// The sum of the `inuse` fields of the protocols that hold data.
fn in_use(text: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.split_once(": inuse "))
        .filter(|(protocol, _)| matches!(*protocol, "TCP" | "UDP" | "TCP6" | "UDP6"))
        .filter_map(|(_, rest)| rest.split_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_of_both_protocols_are_counted_and_the_rest_is_not() {
        let text = "sockets: used 290\nTCP: inuse 5 orphan 1 tw 7 alloc 9 mem 3\nUDP: inuse 2 mem 0\nUDPLITE: inuse 4\nRAW: inuse 8\nFRAG: inuse 16 memory 0\n";
        assert_eq!(in_use(text), 7);
        assert_eq!(in_use("TCP6: inuse 3\nUDP6: inuse 4\nRAW6: inuse 1\n"), 7);
    }

    #[test]
    fn an_open_socket_of_ours_is_counted() {
        let own = Pid::this();
        let before = count(own).unwrap();
        let held: Vec<_> =
            (0..64).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        assert!(count(own).unwrap() >= before + 32, "{before}");
        drop(held);
    }
}
