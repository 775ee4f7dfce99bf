//! Room for what is recorded next: the oldest files go.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::wire::limits::{DISK_PRUNE_DEPTH, DISK_PRUNE_FILES};

use super::worker::Outcome;

/// Which files may stay.
pub(in super::super) struct Quota {
    /// Where they are, in it or in a folder of it. Links are not followed.
    pub(in super::super) folder: PathBuf,
    /// Whether a file of this name, relative to the folder, is one: others are left alone.
    pub(in super::super) is_ours: Box<dyn Fn(&str) -> bool + Send>,
    /// Those that were written to in this time.
    pub(in super::super) max_age: Option<Duration>,
    /// The newest, up to so many bytes together.
    pub(in super::super) max_bytes: Option<u64>,
}

struct Found {
    written: SystemTime,
    bytes: u64,
    path: PathBuf,
}

/// Removes what may not stay, the oldest first, but not the files that are `open` (device and inode). What
/// can't be removed stays. Of more than [`DISK_PRUNE_FILES`] files, the rest is seen the next time.
pub(super) fn prune(quota: &Quota, open: &[(u64, u64)]) -> io::Result<Outcome> {
    let (mut found, mut left) = find(quota, open)?;
    found.sort_unstable_by_key(|f| f.written);
    let now = SystemTime::now();
    let (mut removed, mut freed) = (0u32, 0u64);
    for file in found {
        // A file of the future has no age: the clock was wrong then, or is now.
        let age = now.duration_since(file.written).unwrap_or_default();
        let is_old = quota.max_age.is_some_and(|most| age > most);
        let is_much = quota.max_bytes.is_some_and(|most| left > most);
        if !is_old && !is_much {
            break;
        }
        if fs::remove_file(&file.path).is_ok() {
            removed = removed.saturating_add(1);
            freed = freed.saturating_add(file.bytes);
            left = left.saturating_sub(file.bytes);
        }
    }
    Ok(Outcome::Pruned { removed, freed, left })
}

/// The files that could be removed, and the bytes of all.
fn find(quota: &Quota, open: &[(u64, u64)]) -> io::Result<(Vec<Found>, u64)> {
    let mut found = Vec::new();
    let mut bytes = 0u64;
    let mut folders = vec![(quota.folder.clone(), fs::read_dir(&quota.folder)?)];
    while let Some((folder, entries)) = folders.last_mut() {
        let Some(entry) = entries.next() else {
            folders.pop();
            continue;
        };
        // What vanishes meanwhile, or can't be looked at, is none of this.
        let Ok(entry) = entry else { continue };
        let Ok(meta) = entry.metadata() else { continue };
        let path = folder.join(entry.file_name());
        if meta.is_dir() {
            if folders.len() < DISK_PRUNE_DEPTH
                && let Ok(entries) = fs::read_dir(&path)
            {
                folders.push((path, entries));
            }
            continue;
        }
        let name = path.strip_prefix(&quota.folder).ok().and_then(|name| name.to_str());
        if !meta.is_file() || !name.is_some_and(&quota.is_ours) {
            continue;
        }
        bytes = bytes.saturating_add(meta.len());
        if !open.contains(&(meta.dev(), meta.ino())) {
            let written = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            found.push(Found { written, bytes: meta.len(), path });
        }
        if found.len() >= DISK_PRUNE_FILES {
            break;
        }
    }
    Ok((found, bytes))
}
