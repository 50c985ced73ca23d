//! Captures written by a test into a folder of its own.

use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

/// A folder that is removed with this value.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a folder for the test's captures"))
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).expect("the test's folder takes files");
        path
    }
}

/// `bytes` as one gzip member.
pub(crate) fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes.as_ref()).expect("memory takes bytes");
    encoder.finish().expect("memory takes bytes")
}

/// A line with a trade whose id is `id`.
pub(crate) fn trade(at_ns: u64, symbol: &str, id: u64) -> String {
    format!(
        "{at_ns} {{\"e\":\"trade\",\"E\":5,\"s\":\"{symbol}\",\"t\":{id},\"p\":\"10.50\",\"q\":\"2.000\",\"T\":5,\
         \"m\":true,\"M\":true}}\n"
    )
}
