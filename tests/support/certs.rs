//! Certificates of the test's own as files, for programs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::TempDir;
use super::certificates::{self, Pair};

/// An authority. Its files and those of all that it has signed go when it does.
pub(crate) struct Authority {
    authority: certificates::Authority,
    file: PathBuf,
    dir: TempDir,
    signed: AtomicU32,
}

/// The files of a certificate and its key.
pub(crate) struct Certificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let (authority, dir) = (certificates::Authority::new(), TempDir::new());
        let file = dir.join("authority.pem");
        write(&file, &authority.pem);
        Self { authority, file, dir, signed: AtomicU32::new(0) }
    }

    /// Its own certificate, which a client is told to trust.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// A server's certificate for these names and addresses.
    pub(crate) fn sign(&self, names: &[&str]) -> Certificate {
        self.keep(&self.authority.pair(names))
    }

    /// The same, but one that has run out long ago.
    pub(crate) fn sign_expired(&self, names: &[&str]) -> Certificate {
        self.keep(&self.authority.expired(names))
    }

    fn keep(&self, pair: &Pair) -> Certificate {
        let n = self.signed.fetch_add(1, Ordering::Relaxed);
        let [certificate, key] = ["crt", "key"].map(|kind| self.dir.join(&format!("server-{n}.{kind}")));
        write(&certificate, &pair.cert);
        write(&key, &pair.key);
        Certificate { certificate, key }
    }
}

fn write(file: &Path, text: &str) {
    std::fs::write(file, text).expect("a file of the test");
}
