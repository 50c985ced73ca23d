//! What lies in the queues of TCP connections to one server: bytes that the server's kernel has not got rid of, and bytes that
//! have come and nobody has read. Of a load that is too slow for its server the second kind tells.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::proc_files::{ProbeError, read};

const TCP: &str = "/proc/net/tcp";

/// The state of an established connection (proc_pid_net(5), `st`).
const ESTABLISHED: &str = "01";

/// Queues of all established connections to a server on this host, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queues {
    /// Sent by the server, and not acknowledged or not on their way yet.
    pub unsent_bytes: u64,
    /// At the clients, and not read by them.
    pub unread_bytes: u64,
}

impl Queues {
    /// Looks at the connections to an IPv4 address and port. It takes the kernel some microseconds for each socket of the
    /// host.
    pub fn to(server: SocketAddr) -> Result<Queues, ProbeError> {
        Ok(Queues::parse(&read(TCP)?, server))
    }

    /// Lines as `0: 0100007F:24E3 0101017F:8000 01 00000000:00000010 ...`: number, local and remote address, state, and the
    /// send and the receive queue.
    fn parse(text: &str, server: SocketAddr) -> Queues {
        let mut queues = Queues::default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_ascii_whitespace().take(5).collect();
            let &[_, local, remote, ESTABLISHED, both] = fields.as_slice() else {
                continue;
            };
            let Some((sending, receiving)) = both.split_once(':') else {
                continue;
            };
            let bytes = |hex: &str| u64::from_str_radix(hex, 16).unwrap_or(0);
            if address(local) == Some(server) {
                queues.unsent_bytes += bytes(sending);
            }
            if address(remote) == Some(server) {
                queues.unread_bytes += bytes(receiving);
            }
        }
        queues
    }
}

/// An address as `0100007F:24E3`: the bytes of the address as a number of this machine, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let ip = u32::from_str_radix(ip, 16).ok()?.to_ne_bytes();
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(ip)), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    #[test]
    #[cfg(target_endian = "little")]
    fn both_ends_of_the_servers_connections_count() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n\
            0: 0100007F:24E3 00000000:0000 0A 00000000:00000005 00:00000000 00000000     0\n\
            1: 0100007F:24E3 0101017F:8000 01 00000100:00000003 00:00000000 00000000     0\n\
            2: 0101017F:8000 0100007F:24E3 01 00000007:00001000 00:00000000 00000000     0\n\
            3: 0101017F:8001 0100007F:24E4 01 00000007:00001000 00:00000000 00000000     0\n\
            4: broken\n";
        let expected = Queues {
            unsent_bytes: 0x100,
            unread_bytes: 0x1000,
        };
        assert_eq!(Queues::parse(text, "127.0.0.1:9443".parse().unwrap()), expected);
    }

    #[test]
    fn what_nobody_reads_is_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let _client = TcpStream::connect(server).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        assert_eq!(Queues::to(server).unwrap().unread_bytes, 0);
        accepted.write_all(&[0; 300]).unwrap();
        // Loopback brings it within a moment.
        while Queues::to(server).unwrap().unread_bytes < 300 {}
        assert_eq!(Queues::to(server).unwrap().unread_bytes, 300);
    }
}
