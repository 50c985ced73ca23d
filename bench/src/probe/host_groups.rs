//! What the control groups of this process (a container's bounds) leave it of memory and of threads, cgroup v2 and v1.

use std::path::{Path, PathBuf};

use super::proc_files::pair;

/// Where control groups are: cgroup v2, and a folder for each controller of v1.
const CGROUPS: &str = "/sys/fs/cgroup";

/// What the control groups leave; None where they set no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GroupBounds {
    /// Memory, bytes.
    pub(super) memory_left_bytes: Option<u64>,
    /// Processes and threads.
    pub(super) threads_left: Option<u64>,
}

impl GroupBounds {
    /// Of this process, whose /proc/self/cgroup this is (cgroups(7)).
    pub(super) fn read(cgroup: &str) -> GroupBounds {
        GroupBounds::under(Path::new(CGROUPS), cgroup)
    }

    fn under(root: &Path, cgroup: &str) -> GroupBounds {
        GroupBounds {
            memory_left_bytes: least(cgroup, root, "memory", |group| {
                v2_memory_left(group).or_else(|| v1_memory_left(group))
            }),
            // The files have the same names in both versions.
            threads_left: least(cgroup, root, "pids", |group| {
                left(group, "pids.max", "pids.current", 0)
            }),
        }
    }
}

/// The least that a group and those above it leave, of the version that has the controller. In a container the path may be
/// the host's, and not to be seen here; what is to be seen counts.
fn least(cgroup: &str, root: &Path, controller: &str, left_of: impl Fn(&Path) -> Option<u64>) -> Option<u64> {
    let of_version_1 = cgroup.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(":/")?;
        let is_here = controllers.split(',').any(|name| name == controller);
        is_here.then(|| (root.join(controller), path))
    });
    let of_version_2 = || {
        let path = cgroup.lines().find_map(|line| line.strip_prefix("0::/"))?;
        Some((root.to_path_buf(), path))
    };
    let (root, path): (PathBuf, &str) = of_version_1.or_else(of_version_2)?;
    let group = root.join(path.trim_end());
    group
        .ancestors()
        .take_while(|group| group.starts_with(&root))
        .filter_map(left_of)
        .min()
}

fn v2_memory_left(group: &Path) -> Option<u64> {
    // Of files the kernel forgets what it has read as soon as the memory is wanted.
    let files = pair(&text(group, "memory.stat")?, "file")?;
    left(group, "memory.max", "memory.current", files)
}

fn v1_memory_left(group: &Path) -> Option<u64> {
    // Without a bound there is a number that no memory reaches, so that more is left than there is.
    let files = pair(&text(group, "memory.stat")?, "total_cache")?;
    left(group, "memory.limit_in_bytes", "memory.usage_in_bytes", files)
}

/// What is left of a bound; None without one, for which there is the word `max`.
fn left(group: &Path, bound: &str, taken: &str, given_back: u64) -> Option<u64> {
    let number = |file| text(group, file)?.trim().parse::<u64>().ok();
    let taken = number(taken)?.saturating_sub(given_back);
    Some(number(bound)?.saturating_sub(taken))
}

fn text(group: &Path, file: &str) -> Option<String> {
    std::fs::read_to_string(group.join(file)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("depthcast-bench-cgroups-{name}-{}", std::process::id()))
    }

    fn write(group: &Path, files: [(&str, &str); 3]) {
        std::fs::create_dir_all(group).unwrap();
        for (file, text) in files {
            std::fs::write(group.join(file), text).unwrap();
        }
    }

    #[test]
    fn the_narrowest_control_group_counts() {
        let root = folder("v2");
        let memory = |max, current| {
            [
                ("memory.max", max),
                ("memory.current", current),
                ("memory.stat", "anon 7\nfile 100\nkernel 3\n"),
            ]
        };
        let (outer, inner) = (root.join("outer"), root.join("outer/inner"));
        let left = |cgroup| GroupBounds::under(&root, cgroup).memory_left_bytes;
        write(&inner, memory("max\n", "5\n"));
        let unbounded = left("0::/outer/inner\n");
        write(&outer, memory("1000\n", "300\n"));
        let bounded = left("1:cpu:/x\n0::/outer/inner\n");
        write(&inner, memory("400\n", "600\n"));
        let over = left("0::/outer/inner\n");
        std::fs::write(inner.join("pids.max"), "100\n").unwrap();
        std::fs::write(inner.join("pids.current"), "30\n").unwrap();
        let both = GroupBounds::under(&root, "0::/outer/inner\n");
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!((unbounded, bounded, over), (None, Some(800), Some(0)));
        assert_eq!(both.threads_left, Some(70));
        assert_eq!(GroupBounds::under(&root, ""), GroupBounds::default());
    }

    #[test]
    fn groups_of_version_1_count_by_their_controllers() {
        let root = folder("v1");
        let group = root.join("memory/a");
        write(
            &group,
            [
                ("memory.limit_in_bytes", "1000\n"),
                ("memory.usage_in_bytes", "500\n"),
                ("memory.stat", "cache 1\ntotal_cache 200\n"),
            ],
        );
        let cgroup = "5:pids:/\n4:cpu,memory:/a\n0::/\n";
        let bounded = GroupBounds::under(&root, cgroup);
        std::fs::write(group.join("memory.limit_in_bytes"), "9223372036854771712\n").unwrap();
        let unbounded = GroupBounds::under(&root, cgroup);
        std::fs::remove_dir_all(&root).unwrap();
        let expected = GroupBounds {
            memory_left_bytes: Some(700),
            threads_left: None,
        };
        assert_eq!(bounded, expected);
        assert!(unbounded.memory_left_bytes.unwrap() > 1 << 60);
    }
}
