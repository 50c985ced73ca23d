//! Settings of the kernel that a run takes: which have to be raised, raised only when asked for, and set back however the
//! run ends.
//!
//! - [`setting`]: those that may be raised, and what they are; [`raise`]: which have to be, and why;
//! - [`change`]: one changed and changed back; [`journal`]: what is to be undone, written down before anything is changed;
//! - [`guardian`]: the process that changes them, and sets them back when the run has ended, in whatever way;
//! - [`raised`]: the run's side of it.

pub mod change;
pub mod guardian;
pub mod journal;
pub mod raise;
pub mod raised;
pub mod setting;

#[cfg(test)]
pub(super) mod tests {
    use std::path::{Path, PathBuf};

    use super::journal::Places;
    use super::setting::Setting;

    /// A folder that stands in for /proc/sys.
    pub(in super::super) struct Sys(PathBuf);

    impl Sys {
        pub(in super::super) fn new(name: &str, settings: &[(Setting, &str)]) -> Sys {
            let folder = format!("depthcast-bench-settings-{name}-{}", std::process::id());
            let sys = Sys(std::env::temp_dir().join(folder));
            std::fs::create_dir_all(&sys.0).unwrap();
            for (setting, text) in settings {
                std::fs::create_dir_all(setting.file(&sys.0).parent().unwrap()).unwrap();
                sys.set(*setting, text);
            }
            sys
        }

        pub(in super::super) fn path(&self) -> &Path {
            &self.0
        }

        pub(in super::super) fn places(&self) -> Places {
            Places {
                sys: self.0.clone(),
                journal: self.0.join("journal.json"),
            }
        }

        pub(in super::super) fn text(&self, setting: Setting) -> String {
            std::fs::read_to_string(setting.file(&self.0)).unwrap()
        }

        pub(in super::super) fn set(&self, setting: Setting, text: &str) {
            std::fs::write(setting.file(&self.0), text).unwrap();
        }

        /// Has a file of the kernel's stand for the setting: who writes is root, who is refused no other.
        pub(in super::super) fn stand_in(&self, setting: Setting, kernels: &str) {
            let file = setting.file(&self.0);
            std::fs::remove_file(&file).unwrap();
            std::os::unix::fs::symlink(kernels, file).unwrap();
        }
    }

    impl Drop for Sys {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
