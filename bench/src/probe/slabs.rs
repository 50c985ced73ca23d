//! The kernel's own objects that connections are made of, as /proc/slabinfo counts them (slabinfo(5)); root's to read.

use serde::Serialize;

use super::proc_files::{ProbeError, foreign, read};

const SLABINFO: &str = "/proc/slabinfo";

/// The caches that grow with sockets: the sockets themselves, those of a handshake and of a closed connection, their files, their
/// places in polls, and what is in their queues. Kernels may merge a cache with another of its size, which then has its name.
const CACHES: [&str; 12] = [
    "TCP",
    "request_sock_TCP",
    "tw_sock_TCP",
    "sock_inode_cache",
    "filp",
    "dentry",
    "lsm_inode_cache",
    "ep_head",
    "eventpoll_epi",
    "eventpoll_pwq",
    "skbuff_head_cache",
    "skbuff_small_head",
];

/// What a cache takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Slab {
    /// Its name.
    pub name: String,
    /// Objects in use.
    pub objects: u64,
    /// Bytes of all its objects, those too that wait to be used.
    pub bytes: u64,
}

/// The caches of sockets now, those that this kernel has under these names.
pub fn socket_slabs() -> Result<Vec<Slab>, ProbeError> {
    parse(&read(SLABINFO)?).ok_or_else(|| foreign(SLABINFO, "counts of caches"))
}

/// Lines as `TCP    33   144   2432   13   8 : tunables ...`: name, objects in use, objects, bytes of one.
fn parse(text: &str) -> Option<Vec<Slab>> {
    let mut slabs = Vec::new();
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let Some(name) = fields.next().filter(|name| CACHES.contains(name)) else {
            continue;
        };
        let mut number = || fields.next()?.parse::<u64>().ok();
        let (objects, all, size) = (number()?, number()?, number()?);
        slabs.push(Slab {
            name: name.into(),
            objects,
            bytes: all.saturating_mul(size),
        });
    }
    Some(slabs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "slabinfo - version: 2.1\n\
        # name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables\n\
        TCPv6                 13     13   2624   12    8 : tunables    0    0    0 : slabdata 1 1 0\n\
        TCP                   33    144   2432   13    8 : tunables    0    0    0 : slabdata 1 1 0\n\
        filp                1920   2048    192   21    1 : tunables    0    0    0 : slabdata 1 1 0\n";

    #[test]
    fn caches_of_sockets_are_read_and_no_others() {
        let slab = |name: &str, objects, bytes| Slab {
            name: name.into(),
            objects,
            bytes,
        };
        let expected = vec![slab("TCP", 33, 144 * 2432), slab("filp", 1920, 2048 * 192)];
        assert_eq!(parse(TEXT), Some(expected));
        assert_eq!(parse("TCP 33 many 2432\n"), None);
        assert_eq!(parse(""), Some(Vec::new()));
    }
}
