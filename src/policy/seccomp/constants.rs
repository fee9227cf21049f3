//! Constants that conditions name, and the errors a refused call gets. Values are libc's, or
//! the kernel's where libc has none.
#![forbid(unsafe_code)]

use std::fmt;

/// An error number with its name. 0 is "success without effect".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Errno {
    name: &'static str,
    number: u16,
}

impl Errno {
    /// Looks an error up by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        ERRNOS
            .iter()
            .find(|(own, _)| *own == name)
            .map(|(name, number)| Self { name, number: *number })
    }

    /// As errno(3) numbers it.
    #[must_use]
    pub fn number(self) -> u16 {
        self.number
    }

    pub(super) fn names() -> String {
        ERRNOS.map(|(name, _)| name).join(", ")
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.number == 0 {
            formatter.write_str("success without effect")
        } else {
            formatter.write_str(self.name)
        }
    }
}

/// The value of a constant's name.
pub(in crate::policy) fn constant(name: &str) -> Option<u64> {
    CONSTANTS.iter().find(|(own, _)| *own == name).map(|(_, value)| *value)
}

/// What rules may answer; a filter needs one program for each.
const ERRNOS: [(&str, u16); 10] = [
    ("0", 0),
    ("EPERM", 1),
    ("EACCES", 13),
    ("EINVAL", 22),
    ("ENOMEM", 12),
    ("ENOPROTOOPT", 92),
    ("ENOSYS", 38),
    ("ENOTTY", 25),
    ("EOPNOTSUPP", 95),
    ("EAFNOSUPPORT", 97),
];

macro_rules! constants {
    ($($name:ident),* ; $($other:ident = $value:expr),* $(,)?) => {
        &[$((stringify!($name), libc::$name as u64),)* $((stringify!($other), $value)),*]
    };
}

#[rustfmt::skip]
const CONSTANTS: &[(&str, u64)] = constants![
    AF_INET, AF_INET6, AF_UNIX, CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS,
    CLONE_NEWPID, CLONE_NEWTIME, CLONE_NEWUSER, CLONE_NEWUTS, CLONE_SIGHAND, CLONE_THREAD,
    CLONE_VM, FIOCLEX, FIONBIO, FIONCLEX, FIONREAD, IPV6_ADD_MEMBERSHIP, IPV6_DROP_MEMBERSHIP,
    IPV6_MULTICAST_HOPS, IPV6_MULTICAST_IF, IPV6_MULTICAST_LOOP, IPV6_TCLASS, IPV6_UNICAST_HOPS,
    IPV6_V6ONLY, IP_ADD_MEMBERSHIP, IP_BIND_ADDRESS_NO_PORT, IP_DROP_MEMBERSHIP, IP_MULTICAST_IF,
    IP_MULTICAST_LOOP, IP_MULTICAST_TTL, IP_TOS, IP_TTL, MADV_HWPOISON, MADV_MERGEABLE,
    MADV_PAGEOUT, MADV_SOFT_OFFLINE, MAP_HUGETLB, MFD_HUGETLB, MSG_MORE, MSG_ZEROCOPY, POSIX_FADV_DONTNEED,
    PRIO_PROCESS, PROT_EXEC, PR_CAPBSET_READ, PR_GET_CHILD_SUBREAPER, PR_GET_DUMPABLE, PR_GET_NAME,
    PR_GET_NO_NEW_PRIVS, PR_GET_PDEATHSIG, PR_GET_SECCOMP, PR_GET_SECUREBITS, PR_GET_TID_ADDRESS,
    PR_GET_TIMERSLACK, PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE, PR_SET_NAME, PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG, PR_SET_TIMERSLACK, PR_SET_VMA, RLIMIT_CORE, SIOCGIFADDR, SIOCGIFCONF,
    SIOCGIFFLAGS, SIOCGIFHWADDR, SIOCGIFINDEX, SIOCGIFMTU, SIOCGIFNAME, SIOCGIFNETMASK,
    SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM, SOL_SOCKET, SO_BROADCAST, SO_KEEPALIVE,
    SO_LINGER, SO_OOBINLINE, SO_PASSCRED, SO_RCVBUF, SO_RCVLOWAT, SO_RCVTIMEO, SO_REUSEADDR,
    SO_REUSEPORT, SO_SNDBUF, SO_SNDTIMEO, TCGETS, TCGETS2, TCP_CORK, TCP_DEFER_ACCEPT, TCP_KEEPCNT,
    TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_MAXSEG, TCP_NODELAY, TCP_NOTSENT_LOWAT, TCP_QUICKACK,
    TCP_USER_TIMEOUT, TCSETS, TCSETSF, TCSETSW, TIOCGPGRP, TIOCGWINSZ, TIOCOUTQ, TIOCSPGRP,
    TIOCSWINSZ, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP, F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_NOTIFY, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_SETFD, F_SETFL, F_SETLEASE, MADV_COLD, O_WRONLY, O_RDWR, O_CREAT,
    O_TRUNC, O_APPEND, O_PATH, PR_SET_SECCOMP, PR_SET_MM, PR_CAP_AMBIENT, PR_SET_SECUREBITS,
    PR_SET_PTRACER, TIOCSTI, TIOCLINUX, TIOCSETD, SO_ZEROCOPY, SO_ATTACH_FILTER, SO_ATTACH_BPF,
    TCP_ULP, MAP_SHARED, PROT_WRITE;
    NULL = 0, PER_LINUX = 0, PER_QUERY = 0xffff_ffff, IOPRIO_WHO_PROCESS = 1, UDP_ENCAP = 100, MADV_COLLAPSE = 25,
    SO_ATTACH_REUSEPORT_CBPF = 51, SO_ATTACH_REUSEPORT_EBPF = 52,
    ARCH_SET_FS = 0x1002, ARCH_GET_FS = 0x1003,
    ARCH_GET_XCOMP_SUPP = 0x1021, ARCH_GET_XCOMP_PERM = 0x1022, ARCH_REQ_XCOMP_PERM = 0x1023,
];
