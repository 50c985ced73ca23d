//! What the kernel's refusals mean to a run of very many connections, and what would lift them.

use std::io;

use rustix::io::Errno;

/// What was asked of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A new descriptor: a socket, an accepted connection, a poll.
    Open,
    /// A connection.
    Connect,
    /// A descriptor's place in a poll.
    Watch,
    /// Bytes of a connection that stood, sent or received.
    Transfer,
    /// A process or a thread.
    Start,
}

/// Which limit of the host a refusal comes from, and what would lift it, in a sentence. None for what is no limit of the
/// host's, such as a server that has closed.
pub fn meaning(asked: Asked, error: &io::Error) -> Option<&'static str> {
    let meaning = match (asked, Errno::from_io_error(error)?) {
        (_, Errno::MFILE) => {
            "this process has as many descriptors open as it may: spread the connections over more processes (of an engine: \
             workers), or raise the hard limit with `ulimit -Hn` as root"
        }
        (_, Errno::NFILE) => {
            "as many files are open on this host as may be: raise `sysctl fs.file-max` as root"
        }
        (Asked::Connect, Errno::ADDRNOTAVAIL) => {
            "every port of the source address is taken, by connections or, for a second after their end, by closed ones: use more \
             source addresses, or widen `sysctl net.ipv4.ip_local_port_range` as root"
        }
        (Asked::Watch, Errno::NOSPC) => {
            "the polls of this user watch as many descriptors as they may: raise `sysctl fs.epoll.max_user_watches` as root"
        }
        (Asked::Start, Errno::AGAIN) => {
            "there are as many processes and threads as may be: of this user (`ulimit -Hu`), of the host (`sysctl \
             kernel.threads-max`, `kernel.pid_max`), or of the container (`pids.max` of its control group)"
        }
        (_, Errno::NOBUFS) => {
            "the kernel has no room for more in the queues of sockets: raise `sysctl net.ipv4.tcp_mem` as root, or let less lie in \
             them"
        }
        (_, Errno::NOMEM) => {
            "there is no memory left for it on this host or in this container: open fewer connections"
        }
        (Asked::Connect, Errno::TIMEDOUT) => {
            "requests to connect were lost for minutes: the server's queue of those that wait to be accepted was full (`sysctl \
             net.core.somaxconn`), packets found no room (`sysctl net.core.netdev_max_backlog`), or a firewall followed as many \
             connections as it can (`sysctl net.netfilter.nf_conntrack_max`); connect more slowly, or raise it as root"
        }
        (Asked::Transfer, Errno::TIMEDOUT) => {
            "the other end has acknowledged nothing for minutes: packets found no room (`sysctl net.core.netdev_max_backlog`), or \
             the queues of all sockets were full (`sysctl net.ipv4.tcp_mem`)"
        }
        _ => return None,
    };
    Some(meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limits_refusal_names_what_lifts_it() {
        let cases = [
            (Asked::Open, Errno::MFILE, "ulimit -Hn"),
            (Asked::Connect, Errno::MFILE, "ulimit -Hn"),
            (Asked::Open, Errno::NFILE, "fs.file-max"),
            (Asked::Connect, Errno::ADDRNOTAVAIL, "more source addresses"),
            (Asked::Watch, Errno::NOSPC, "fs.epoll.max_user_watches"),
            (Asked::Start, Errno::AGAIN, "pids.max"),
            (Asked::Transfer, Errno::NOBUFS, "net.ipv4.tcp_mem"),
            (Asked::Open, Errno::NOMEM, "fewer connections"),
            (Asked::Connect, Errno::TIMEDOUT, "net.core.somaxconn"),
            (Asked::Transfer, Errno::TIMEDOUT, "net.ipv4.tcp_mem"),
        ];
        for (asked, errno, named) in cases {
            let meaning = meaning(asked, &errno.into()).unwrap_or_default();
            assert!(meaning.contains(named), "{asked:?} {errno:?}: {meaning}");
        }
    }

    #[test]
    fn what_is_no_limit_of_the_hosts_has_no_meaning_here() {
        let cases = [
            (Asked::Connect, Errno::CONNREFUSED),
            (Asked::Transfer, Errno::CONNRESET),
            (Asked::Transfer, Errno::AGAIN),
            (Asked::Open, Errno::NOSPC),
        ];
        for (asked, errno) in cases {
            assert_eq!(meaning(asked, &errno.into()), None, "{asked:?} {errno:?}");
        }
        assert_eq!(meaning(Asked::Open, &io::Error::other("x")), None);
    }

    #[test]
    fn the_kernel_refuses_a_taken_address_as_it_says_here() {
        // An address that is on no interface is refused as one without a free port is.
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        let address: std::net::SocketAddr = "203.0.113.1:0".parse().expect("an address");
        let error = socket.bind(&address.into()).expect_err("no such address");
        assert!(meaning(Asked::Connect, &error).is_some(), "{error}");
    }
}
