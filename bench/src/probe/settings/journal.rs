//! What is to be undone, written down before anything is changed, so that the next run finds it where a run and its guardian
//! were both killed; and the lock that lets one run at a time change settings.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use super::change::{Change, ChangeError, Undone};
use super::setting::{SYS, Setting};

/// Where it is written down: a folder that only root writes to, since what stands there is written to the kernel's settings.
const JOURNAL: &str = "/run/depthcast-bench-settings.json";

/// Bytes of the journal at most: every setting once, and some room.
const JOURNAL_BYTES_MAX: u64 = 8192;

/// How often the lock is tried. A run that was killed a moment ago still has settings to undo.
const LOCK_ATTEMPTS: u32 = 40;

/// The time between two attempts.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// The files that settings are in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// The kernel's settings.
    pub sys: PathBuf,
    /// What is to be undone. The lock stands beside it.
    pub journal: PathBuf,
}

impl Default for Places {
    fn default() -> Places {
        Places {
            sys: SYS.into(),
            journal: JOURNAL.into(),
        }
    }
}

/// Why nothing can be changed, or not be undone.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another run has changed settings, and has not ended.
    #[error(
        "another run has raised settings of the kernel and undoes them at its end ({} is locked): wait for that, or run \
         without raising any",
        path.display()
    )]
    Locked {
        /// The lock's file.
        path: PathBuf,
    },
    /// Nothing can be written down, so nothing may be changed.
    #[error("what is to be undone cannot be written down in {}: {error}{}", path.display(), only_root(error))]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// What stands in the journal is not ours.
    #[error(
        "{} says what settings of the kernel are to be set back to, and cannot be used ({why}): look at it, set them, and \
         remove it",
        path.display()
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A setting cannot be changed.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

fn only_root(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => " (only root may raise settings)",
        _ => "",
    }
}

/// The kernel whose settings are changed. Since its start, and in its network namespace, what is written down holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kernel {
    boot: String,
    network: String,
}

impl Kernel {
    fn present() -> Kernel {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let network = std::fs::read_link("/proc/self/ns/net").unwrap_or_default();
        Kernel {
            boot: boot.trim_end().into(),
            network: network.to_string_lossy().into(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Page {
    kernel: Kernel,
    changes: Vec<Change>,
}

/// The journal, locked. Nobody else changes settings through another while this lives.
#[derive(Debug)]
pub struct Journal {
    places: Places,
    _lock: File,
}

impl Journal {
    /// Takes the lock; waits up to 2 s for one that ends.
    pub fn lock(places: &Places) -> Result<Journal, JournalError> {
        let path = places.journal.with_extension("lock");
        let lock = open(&path, OpenOptions::new().write(true).create(true)).map_err(|error| {
            JournalError::Unwritable {
                path: path.clone(),
                error,
            }
        })?;
        for _ in 0..LOCK_ATTEMPTS {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    return Ok(Journal {
                        places: places.clone(),
                        _lock: lock,
                    });
                }
                Err(Errno::WOULDBLOCK | Errno::INTR) => std::thread::sleep(LOCK_PAUSE),
                Err(error) => {
                    return Err(JournalError::Unwritable {
                        path,
                        error: error.into(),
                    });
                }
            }
        }
        Err(JournalError::Locked { path })
    }

    /// Undoes what is written down: a run has left it that was killed with its guardian. Gives what became of each setting,
    /// for people; nothing where nothing was left.
    pub fn undo_leftovers(&self) -> Result<Vec<String>, JournalError> {
        let Some(page) = self.read()? else {
            return Ok(Vec::new());
        };
        let path = &self.places.journal;
        let present = Kernel::present();
        if page.kernel.boot != present.boot {
            self.clear()?;
            return Ok(Vec::new());
        }
        if page.kernel.network != present.network {
            return Err(JournalError::Unusable {
                path: path.clone(),
                why: "it is of another network namespace".into(),
            });
        }
        self.undo(page.changes)
    }

    /// Writes down what is to be undone, then makes the changes one after the other. What was changed before an error is
    /// undone.
    pub fn apply(&self, raises: &[(Setting, Vec<u64>)]) -> Result<Vec<Change>, JournalError> {
        let sys = &self.places.sys;
        let changes: Vec<Change> = raises
            .iter()
            .map(|(setting, wanted)| Change::of(sys, *setting, wanted))
            .collect::<Result<_, _>>()?;
        self.write(&changes)?;
        for change in &changes {
            if let Err(error) = change.apply(sys) {
                // What became of that is in the journal, where it went wrong; the error is what there is to say.
                self.undo(changes)?;
                return Err(error.into());
            }
        }
        Ok(changes)
    }

    /// Undoes changes in reverse, and strikes out those that are. Gives what became of each, for people.
    pub fn undo(&self, changes: Vec<Change>) -> Result<Vec<String>, JournalError> {
        let mut said = Vec::new();
        let mut left = Vec::new();
        for change in changes.into_iter().rev() {
            let undone = change.undo(&self.places.sys);
            // One that was never made is not worth a word.
            if !matches!(undone, Ok(Undone::Unchanged)) {
                said.push(change.told(&undone));
            }
            if undone.is_err() {
                left.insert(0, change);
            }
        }
        match left.is_empty() {
            true => self.clear()?,
            // The next run tries again.
            false => self.write(&left)?,
        }
        Ok(said)
    }

    /// Whether nothing is left to undo.
    pub fn is_clear(&self) -> bool {
        !self.places.journal.exists()
    }

    fn read(&self) -> Result<Option<Page>, JournalError> {
        let path = &self.places.journal;
        let unusable = |why: String| JournalError::Unusable {
            path: path.clone(),
            why,
        };
        let file = match open(path, OpenOptions::new().read(true)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(error.to_string())),
        };
        let about = file.metadata().map_err(|error| unusable(error.to_string()))?;
        if about.uid() != geteuid().as_raw() || about.mode() & 0o022 != 0 {
            return Err(unusable("others than this user can have written it".into()));
        }
        let mut text = String::new();
        file.take(JOURNAL_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(|error| unusable(error.to_string()))?;
        let page: Page = serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
        if page.changes.len() > Setting::ALL.len() || !page.changes.iter().all(Change::is_sound) {
            return Err(unusable("it is not of its form".into()));
        }
        Ok(Some(page))
    }

    /// The whole of it or nothing: a journal that is half written would be of no use when it is wanted.
    fn write(&self, changes: &[Change]) -> Result<(), JournalError> {
        let path = &self.places.journal;
        let draft = path.with_extension("draft");
        let page = Page {
            kernel: Kernel::present(),
            changes: changes.to_vec(),
        };
        let write = || {
            let text = serde_json::to_vec(&page)?;
            let mut file = open(&draft, OpenOptions::new().write(true).create(true).truncate(true))?;
            file.write_all(&text)?;
            std::fs::rename(&draft, path)
        };
        write().map_err(|error| JournalError::Unwritable {
            path: path.clone(),
            error,
        })
    }

    fn clear(&self) -> Result<(), JournalError> {
        let path = &self.places.journal;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(JournalError::Unwritable {
                path: path.clone(),
                error,
            }),
            _ => Ok(()),
        }
    }
}

/// What a run has to know that raises nothing itself.
const RAISED_BY_ANOTHER: &str = "another run has raised settings of the kernel, which are set back at its end, be it in the middle of this one";

/// Undoes what a killed run has left, whether this one is going to change anything or not. Gives lines for people: what
/// became of each setting, or that another run has some raised just now; none where there is nothing to say.
pub fn undo_leftovers(places: &Places) -> Result<Vec<String>, JournalError> {
    // Who may not write there has left nothing either.
    if !places.journal.exists() {
        return Ok(Vec::new());
    }
    match Journal::lock(places) {
        Ok(journal) => Ok(after_a_kill(journal.undo_leftovers()?)),
        Err(JournalError::Locked { .. }) => Ok(vec![RAISED_BY_ANOTHER.into()]),
        Err(error) => Err(error),
    }
}

/// What was undone that a killed run has left, with a line that says so.
pub(super) fn after_a_kill(said: Vec<String>) -> Vec<String> {
    const WHY: &str = "a former run was killed before it could undo what it had set:";
    match said.is_empty() {
        true => said,
        false => [WHY.to_string()].into_iter().chain(said).collect(),
    }
}

/// Opens a file of this user's, never one that a link leads to.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Sys;
    use super::*;

    const TWO: [(Setting, &str); 2] = [(Setting::AcceptQueue, "128\n"), (Setting::Orphans, "1000\n")];

    fn raises() -> [(Setting, Vec<u64>); 2] {
        [
            (Setting::AcceptQueue, vec![4096]),
            (Setting::Orphans, vec![50_000]),
        ]
    }

    #[test]
    fn changes_are_made_in_order_and_undone_in_reverse() {
        let sys = Sys::new("order", &TWO);
        let journal = Journal::lock(&sys.places()).unwrap();
        let changes = journal.apply(&raises()).unwrap();
        assert_eq!(sys.text(Setting::AcceptQueue), "4096");
        assert_eq!(sys.text(Setting::Orphans), "50000");
        assert!(sys.places().journal.exists());
        let said = journal.undo(changes).unwrap();
        assert_eq!(
            said,
            [
                "net.ipv4.tcp_max_orphans: 50000 -> 1000, as it was",
                "net.core.somaxconn: 4096 -> 128, as it was"
            ]
        );
        assert_eq!(sys.text(Setting::AcceptQueue), "128\n");
        assert_eq!(sys.text(Setting::Orphans), "1000\n");
        assert!(!sys.places().journal.exists());
        assert_eq!(journal.undo_leftovers().unwrap(), [""; 0]);
    }

    #[test]
    fn an_error_in_the_middle_undoes_what_was_before_it() {
        let sys = Sys::new("middle", &[TWO[0], TWO[1], (Setting::PidMax, "32768\n")]);
        sys.stand_in(Setting::Orphans, "/proc/sys/kernel/ngroups_max");
        let journal = Journal::lock(&sys.places()).unwrap();
        let mut three = raises().to_vec();
        three.push((Setting::PidMax, vec![40_000]));
        let error = journal.apply(&three).unwrap_err().to_string();
        assert!(
            error.starts_with("net.ipv4.tcp_max_orphans cannot be set to 50000: "),
            "{error}"
        );
        assert_eq!(sys.text(Setting::AcceptQueue), "128\n");
        assert_eq!(sys.text(Setting::PidMax), "32768\n");
        // Nothing is written where one of them is not there.
        let absent = [raises()[0].clone(), (Setting::Conntrack, vec![1])];
        assert!(journal.apply(&absent).is_err());
        assert_eq!(sys.text(Setting::AcceptQueue), "128\n");
    }

    #[test]
    fn what_a_killed_run_has_left_is_undone_by_the_next() {
        let sys = Sys::new("leftovers", &TWO);
        let journal = Journal::lock(&sys.places()).unwrap();
        journal.apply(&raises()).unwrap();
        assert_eq!(undo_leftovers(&sys.places()).unwrap(), [RAISED_BY_ANOTHER]);
        // Killed: the lock is gone with its holder, the journal stays. Meanwhile somebody has set one of them.
        drop(journal);
        sys.set(Setting::Orphans, "77\n");
        let said = undo_leftovers(&sys.places()).unwrap();
        assert_eq!(
            said[0],
            "a former run was killed before it could undo what it had set:"
        );
        assert!(
            said[1].starts_with("net.ipv4.tcp_max_orphans: somebody else has set it to 77 meanwhile"),
            "{said:?}"
        );
        assert_eq!(said[2], "net.core.somaxconn: 4096 -> 128, as it was");
        assert_eq!(sys.text(Setting::AcceptQueue), "128\n");
        assert_eq!(sys.text(Setting::Orphans), "77\n");
        assert_eq!(undo_leftovers(&sys.places()).unwrap(), [""; 0]);
    }

    #[test]
    fn what_cannot_be_undone_is_tried_again_by_the_next() {
        let sys = Sys::new("again", &TWO);
        let journal = Journal::lock(&sys.places()).unwrap();
        let changes = journal.apply(&raises()).unwrap();
        let away = sys.path().join("away");
        let file = Setting::Orphans.file(sys.path());
        std::fs::rename(&file, &away).unwrap();
        let said = journal.undo(changes).unwrap();
        assert!(
            said[0].starts_with("net.ipv4.tcp_max_orphans is not what it was: "),
            "{said:?}"
        );
        assert_eq!(sys.text(Setting::AcceptQueue), "128\n");
        std::fs::rename(&away, &file).unwrap();
        assert!(!journal.is_clear());
        assert_eq!(journal.undo_leftovers().unwrap().len(), 1);
        assert_eq!(sys.text(Setting::Orphans), "1000\n");
    }

    #[test]
    fn one_run_at_a_time_changes_settings() {
        let sys = Sys::new("locked", &TWO);
        let journal = Journal::lock(&sys.places()).unwrap();
        let error = Journal::lock(&sys.places()).unwrap_err().to_string();
        assert!(
            error.starts_with("another run has raised settings of the kernel"),
            "{error}"
        );
        drop(journal);
        Journal::lock(&sys.places()).unwrap();
    }

    #[test]
    fn a_journal_that_is_not_ours_is_not_followed() {
        let sys = Sys::new("strange", &TWO);
        let path = sys.places().journal;
        let journal = Journal::lock(&sys.places()).unwrap();
        let refused = || {
            let error = journal.undo_leftovers().unwrap_err();
            assert!(matches!(error, JournalError::Unusable { .. }), "{error}");
            assert_eq!(sys.text(Setting::AcceptQueue), "128\n");
            error.to_string()
        };
        // The setting is what that says it was set to: it would be written.
        let of = |kernel: &Kernel, former: &str| {
            let kernel = serde_json::to_string(kernel).unwrap();
            format!(
                r#"{{"kernel":{kernel},"changes":[{{"setting":"net.core.somaxconn","former":"{former}","wanted":[128]}}]}}"#
            )
        };
        let present = Kernel::present();
        std::fs::write(&path, of(&present, "|/bin/sh")).unwrap();
        assert!(refused().contains("it is not of its form"));
        std::fs::write(&path, "{").unwrap();
        refused();
        let elsewhere = Kernel {
            network: "net:[1]".into(),
            ..present.clone()
        };
        std::fs::write(&path, of(&elsewhere, "7")).unwrap();
        assert!(refused().contains("another network namespace"));
        std::fs::write(&path, of(&present, "7")).unwrap();
        let mode = |mode| std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode));
        mode(0o666).unwrap();
        assert!(refused().contains("others than this user"));
        mode(0o600).unwrap();
        let real = path.with_extension("real");
        std::fs::rename(&path, &real).unwrap();
        std::os::unix::fs::symlink(&real, &path).unwrap();
        refused();
        // The kernel has its own values again after a start; only the journal goes.
        std::fs::remove_file(&path).unwrap();
        let before = Kernel {
            boot: "0".into(),
            ..present
        };
        std::fs::write(&path, of(&before, "7")).unwrap();
        assert_eq!(journal.undo_leftovers().unwrap(), [""; 0]);
        assert_eq!(sys.text(Setting::AcceptQueue), "128\n");
        assert!(!path.exists());
    }
}
