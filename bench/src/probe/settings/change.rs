//! One setting changed and changed back, as a file: under /proc/sys, or in a folder that stands in for it.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::setting::{Setting, TEXT_BYTES_MAX, numbers, text};

/// Why a setting is not what it was to be.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// It cannot be read.
    #[error("{setting} cannot be read: {error}")]
    Unreadable {
        /// Which.
        setting: Setting,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// It has something else than numbers.
    #[error("{setting} is {text:?}, which is not of its form")]
    Foreign {
        /// Which.
        setting: Setting,
        /// What it has.
        text: String,
    },
    /// It cannot be written.
    #[error("{setting} cannot be set to {value}: {error}{}", Advice(.error))]
    Unwritable {
        /// Which.
        setting: Setting,
        /// To what.
        value: String,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The kernel took the write, and the setting is something else: the host makes another of it.
    #[error("{setting} was set to {wanted} and is {present}: this host does not allow that")]
    NotTaken {
        /// Which.
        setting: Setting,
        /// To what.
        wanted: String,
        /// What it is.
        present: String,
    },
}

/// What helps where a setting cannot be written.
struct Advice<'e>(&'e io::Error);

impl std::fmt::Display for Advice<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0.kind() {
            io::ErrorKind::PermissionDenied => " (only root may)",
            io::ErrorKind::ReadOnlyFilesystem => " (it can be set on the host, outside of the container)",
            _ => "",
        })
    }
}

/// A setting to change, and what it was before, so that it can be changed back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which.
    pub setting: Setting,
    /// Its whole text before, which it gets back as it was.
    pub former: String,
    /// What it is to be.
    pub wanted: Vec<u64>,
}

/// How a change was undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undone {
    /// The setting is what it was.
    Restored,
    /// It was that already.
    Unchanged,
    /// Somebody else has changed it to this meanwhile, so it was left alone.
    Foreign(String),
}

impl Change {
    /// What would change a setting to `wanted`. Nothing is written.
    pub fn of(sys: &Path, setting: Setting, wanted: &[u64]) -> Result<Change, ChangeError> {
        let former = read(sys, setting)?;
        let is_of_form = numbers(&former).is_some_and(|numbers| numbers.len() == wanted.len());
        if !is_of_form || former.len() > TEXT_BYTES_MAX {
            return Err(ChangeError::Foreign {
                setting,
                text: former,
            });
        }
        Ok(Change {
            setting,
            former,
            wanted: wanted.to_vec(),
        })
    }

    /// Whether a change that was read from a file can be one of ours.
    pub fn is_sound(&self) -> bool {
        self.former.len() <= TEXT_BYTES_MAX
            && numbers(&self.former).is_some_and(|numbers| numbers.len() == self.wanted.len())
    }

    /// Writes it, and looks whether the kernel took it. After an error the setting may be either; [`Change::undo`] sees.
    pub fn apply(&self, sys: &Path) -> Result<(), ChangeError> {
        write(sys, self.setting, &text(&self.wanted))?;
        let present = read(sys, self.setting)?;
        if numbers(&present).as_ref() == Some(&self.wanted) {
            return Ok(());
        }
        Err(ChangeError::NotTaken {
            setting: self.setting,
            wanted: text(&self.wanted),
            present: present.trim_end().into(),
        })
    }

    /// Gives the setting its former text back, unless it is neither that nor what we made it.
    pub fn undo(&self, sys: &Path) -> Result<Undone, ChangeError> {
        let present = read(sys, self.setting)?;
        if present == self.former {
            return Ok(Undone::Unchanged);
        }
        if numbers(&present).as_ref() != Some(&self.wanted) {
            return Ok(Undone::Foreign(present.trim_end().into()));
        }
        write(sys, self.setting, &self.former)?;
        let present = read(sys, self.setting)?;
        if present == self.former {
            return Ok(Undone::Restored);
        }
        Err(ChangeError::NotTaken {
            setting: self.setting,
            wanted: self.former.trim_end().into(),
            present: present.trim_end().into(),
        })
    }

    /// What became of it, for people.
    pub fn told(&self, undone: &Result<Undone, ChangeError>) -> String {
        let (setting, wanted) = (self.setting, text(&self.wanted));
        let former = tidy(&self.former);
        match undone {
            Ok(Undone::Restored) => format!("{setting}: {wanted} -> {former}, as it was"),
            Ok(Undone::Unchanged) => format!("{setting}: {former}, as it was"),
            Ok(Undone::Foreign(present)) => format!(
                "{setting}: somebody else has set it to {} meanwhile, so it is left alone (it was {former}, the bench had set \
                 it to {wanted})",
                tidy(present)
            ),
            Err(error) => format!(
                "{setting} is not what it was: {error}; `sysctl -w {setting}=\"{former}\"` as root sets it right"
            ),
        }
    }
}

/// A setting's text with single spaces.
pub fn tidy(text: &str) -> String {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    words.join(" ")
}

fn read(sys: &Path, setting: Setting) -> Result<String, ChangeError> {
    let mut text = String::new();
    OpenOptions::new()
        .read(true)
        .open(setting.file(sys))
        .and_then(|file| file.take(2 * TEXT_BYTES_MAX as u64).read_to_string(&mut text))
        .map_err(|error| ChangeError::Unreadable { setting, error })?;
    Ok(text)
}

/// In one call, as the kernel wants it, and never making a file that is not there.
fn write(sys: &Path, setting: Setting, value: &str) -> Result<(), ChangeError> {
    let unwritable = |error| ChangeError::Unwritable {
        setting,
        value: tidy(value),
        error,
    };
    let path: PathBuf = setting.file(sys);
    let mut file = OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(path)
        .map_err(unwritable)?;
    // A part of a number would be another number.
    match file.write(value.as_bytes()).map_err(unwritable)? {
        taken if taken == value.len() => Ok(()),
        _ => Err(unwritable(io::ErrorKind::WriteZero.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Sys;
    use super::*;

    #[test]
    fn a_setting_gets_its_former_text_back_to_the_byte() {
        let sys = Sys::new("change", &[(Setting::TcpMemory, "1\t2\t3\n")]);
        let change = Change::of(sys.path(), Setting::TcpMemory, &[10, 20, 30]).unwrap();
        assert_eq!(
            sys.text(Setting::TcpMemory),
            "1\t2\t3\n",
            "nothing is written yet"
        );
        change.apply(sys.path()).unwrap();
        assert_eq!(sys.text(Setting::TcpMemory), "10 20 30");
        let undone = change.undo(sys.path());
        assert_eq!(sys.text(Setting::TcpMemory), "1\t2\t3\n");
        assert_eq!(
            change.told(&undone),
            "net.ipv4.tcp_mem: 10 20 30 -> 1 2 3, as it was"
        );
        assert_eq!(change.undo(sys.path()).unwrap(), Undone::Unchanged);
    }

    #[test]
    fn what_somebody_else_has_changed_is_left_alone() {
        let sys = Sys::new("foreign", &[(Setting::AcceptQueue, "4096\n")]);
        let change = Change::of(sys.path(), Setting::AcceptQueue, &[8192]).unwrap();
        change.apply(sys.path()).unwrap();
        sys.set(Setting::AcceptQueue, "9000\n");
        let undone = change.undo(sys.path());
        assert_eq!(
            change.told(&undone),
            "net.core.somaxconn: somebody else has set it to 9000 meanwhile, so it is left alone (it was 4096, the bench had \
             set it to 8192)"
        );
        assert_eq!(sys.text(Setting::AcceptQueue), "9000\n");
        // The same value written in another way is still ours.
        sys.set(Setting::AcceptQueue, "8192\n");
        assert_eq!(change.undo(sys.path()).unwrap(), Undone::Restored);
        assert_eq!(sys.text(Setting::AcceptQueue), "4096\n");
    }

    #[test]
    fn what_is_not_there_or_not_of_its_form_is_an_error_and_not_made() {
        let sys = Sys::new(
            "absent",
            &[(Setting::TcpMemory, "1 2\n"), (Setting::PidMax, "many\n")],
        );
        let error = Change::of(sys.path(), Setting::Orphans, &[1])
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("net.ipv4.tcp_max_orphans cannot be read: "),
            "{error}"
        );
        for (setting, wanted) in [(Setting::TcpMemory, &[1, 2, 3][..]), (Setting::PidMax, &[1])] {
            let error = Change::of(sys.path(), setting, wanted).unwrap_err();
            assert!(matches!(error, ChangeError::Foreign { .. }), "{error}");
        }
        let change = Change {
            setting: Setting::Orphans,
            former: "7\n".into(),
            wanted: vec![8],
        };
        let error = change.apply(sys.path()).unwrap_err().to_string();
        assert!(
            error.starts_with("net.ipv4.tcp_max_orphans cannot be set to 8: "),
            "{error}"
        );
        assert!(!Setting::Orphans.file(sys.path()).exists());
        let told = change.told(&change.undo(sys.path()));
        assert!(
            told.ends_with("`sysctl -w net.ipv4.tcp_max_orphans=\"7\"` as root sets it right"),
            "{told}"
        );
    }

    #[test]
    fn what_the_kernel_makes_something_else_of_is_an_error() {
        let sys = Sys::new("clamped", &[(Setting::PidMax, "7\n")]);
        // This one takes 33 and is 21 then, in hexadecimal.
        sys.stand_in(Setting::PidMax, "/proc/self/coredump_filter");
        let change = Change::of(sys.path(), Setting::PidMax, &[33]).unwrap();
        let error = change.apply(sys.path()).unwrap_err().to_string();
        assert!(
            error.starts_with("kernel.pid_max was set to 33 and is 00000021: "),
            "{error}"
        );
        // And this one may not even be root's to write.
        sys.stand_in(Setting::PidMax, "/proc/sys/kernel/ngroups_max");
        let change = Change::of(sys.path(), Setting::PidMax, &[8]).unwrap();
        let error = change.apply(sys.path()).unwrap_err().to_string();
        assert!(error.ends_with("(only root may)"), "{error}");
    }

    #[test]
    fn a_change_that_cannot_be_ours_is_not_sound() {
        let change = |former: &str, wanted: &[u64]| Change {
            setting: Setting::PidMax,
            former: former.into(),
            wanted: wanted.to_vec(),
        };
        assert!(change("1\n", &[2]).is_sound());
        assert!(!change("1 2\n", &[2]).is_sound());
        assert!(!change("|/bin/sh\n", &[2]).is_sound());
        assert!(!change(&" 1".repeat(TEXT_BYTES_MAX), &[1; TEXT_BYTES_MAX]).is_sound());
    }
}
