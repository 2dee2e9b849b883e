use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::disk::{Disk, DiskFile};

/// A directory in memory that fails as a disk does: for tests of what is kept on one.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<Contents>>);

#[derive(Default)]
struct Contents {
    /// Every file, whatever directory it is in: by path.
    files: BTreeMap<String, Arc<Mutex<Bytes>>>,
    /// The files that a loss of power leaves, by the names that they then have.
    kept: BTreeMap<String, Arc<Mutex<Bytes>>>,
    failure: Option<Failure>,
    room: Option<u64>,
}

#[derive(Clone, Default)]
struct Bytes {
    now: Vec<u8>,
    synced: Vec<u8>,
    /// What was done since it was synced.
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(Vec<u8>, u64),
    SetLen(u64),
}

/// What fails, from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Writing: half of it is written.
    Write,
    /// Writing anywhere, for want of room: half of it is written. Where a file was made longer
    /// without being written, that needs room, too.
    Room,
    /// Syncing; what was not synced then counts as if it were.
    Sync,
}

impl MemoryDisk {
    /// Lets something fail, or everything succeed again.
    pub fn fail(&self, failure: Option<Failure>) {
        self.0.lock().failure = failure;
    }

    /// Another disk with the same on it, and with what was not synced: what happens to one does not
    /// happen to the other.
    pub fn copy(&self) -> Self {
        let contents = self.0.lock();
        type Shared = Arc<Mutex<Bytes>>;
        let mut copies: Vec<(Shared, Shared)> = Vec::new();
        let mut copy = |file: &Arc<Mutex<Bytes>>| {
            let known = copies.iter().find(|(before, _)| Arc::ptr_eq(before, file));
            if let Some((_, copied)) = known {
                return copied.clone();
            }
            let copied = Arc::new(Mutex::new(file.lock().clone()));
            copies.push((file.clone(), copied.clone()));
            copied
        };
        let mut all = |files: &BTreeMap<String, Arc<Mutex<Bytes>>>| {
            files.iter().map(|(name, file)| (name.clone(), copy(file))).collect()
        };
        let (files, kept) = (all(&contents.files), all(&contents.kept));
        let Contents { failure, room, .. } = *contents;
        Self(Arc::new(Mutex::new(Contents { files, kept, failure, room })))
    }

    /// How many more bytes fit; `None` is no bound.
    pub fn set_room(&self, room: Option<u64>) {
        self.0.lock().room = room;
    }

    /// Power fails: of what was not synced, `choose` says for each change how many of 256 parts of
    /// it, from its beginning, reached the disk; names that were not synced are as they were.
    pub fn lose_power(&self, mut choose: impl FnMut() -> u8) {
        let mut contents = self.0.lock();
        for (name, file) in &contents.files.clone() {
            // A name that was never synced is there or not.
            if !contents.kept.contains_key(name) && choose() >= 128 {
                contents.kept.insert(name.clone(), file.clone());
            }
        }
        contents.files = contents.kept.clone();
        for file in contents.files.values() {
            let mut bytes = file.lock();
            let mut survives = bytes.synced.clone();
            for change in std::mem::take(&mut bytes.pending) {
                apply(&mut survives, &change, usize::from(choose()));
            }
            (bytes.now, bytes.synced) = (survives.clone(), survives);
        }
        (contents.failure, contents.room) = (None, None);
    }

    /// The names of all files.
    pub fn names(&self) -> Vec<String> {
        self.0.lock().files.keys().cloned().collect()
    }

    /// Changes the bytes of a file behind everybody's back.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        if let Some(file) = self.0.lock().files.get(name) {
            let mut bytes = file.lock();
            change(&mut bytes.now);
            bytes.synced = bytes.now.clone();
            bytes.pending.clear();
        }
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change, parts: usize) {
    match change {
        Change::Write(new, offset) => {
            let some = new.len() * (parts + 1) / 256;
            put(bytes, new.get(..some).unwrap_or_default(), *offset);
        }
        Change::SetLen(len) if parts >= 128 => bytes.resize(*len as usize, 0),
        Change::SetLen(_) => {}
    }
}

fn put(bytes: &mut Vec<u8>, new: &[u8], offset: u64) {
    if new.is_empty() {
        return;
    }
    let (from, to) = (offset as usize, offset as usize + new.len());
    if bytes.len() < to {
        bytes.resize(to, 0);
    }
    if let Some(place) = bytes.get_mut(from..to) {
        place.copy_from_slice(new);
    }
}

/// A directory within a [`MemoryDisk`].
struct Within(MemoryDisk, String);

struct File {
    disk: MemoryDisk,
    bytes: Arc<Mutex<Bytes>>,
}

fn failed() -> io::Error {
    io::Error::other("the disk failed")
}

impl Within {
    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.1)
    }
}

impl Disk for Within {
    fn list(&self) -> io::Result<Vec<String>> {
        let contents = self.0.0.lock();
        let within = contents.files.keys().filter_map(|path| path.strip_prefix(&self.1));
        Ok(within.filter(|name| !name.contains('/')).map(str::to_owned).collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut contents = self.0.0.lock();
        if contents.failure == Some(Failure::Write) {
            return Err(failed());
        }
        let path = self.path(name);
        if let Some(bytes) = contents.files.get(&path).cloned() {
            drop(contents);
            let file = File { disk: self.0.clone(), bytes };
            file.set_len(0)?;
            return Ok(Arc::new(file));
        }
        let bytes: Arc<Mutex<Bytes>> = Arc::default();
        contents.files.insert(path, bytes.clone());
        Ok(Arc::new(File { disk: self.0.clone(), bytes }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let contents = self.0.0.lock();
        let bytes = contents.files.get(&self.path(name)).cloned();
        let bytes = bytes.ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(File { disk: self.0.clone(), bytes }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut contents = self.0.0.lock();
        contents.files.remove(&self.path(name)).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync(&self) -> io::Result<()> {
        let mut contents = self.0.0.lock();
        if contents.failure == Some(Failure::Sync) {
            return Err(failed());
        }
        contents.kept = contents.files.clone();
        Ok(())
    }

    fn directory(&self, name: &str) -> io::Result<Arc<dyn Disk>> {
        Ok(Arc::new(Self(self.0.clone(), self.path(&format!("{name}/")))))
    }
}

impl DiskFile for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().now.len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let file = self.bytes.lock();
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let found = file.now.get(from..from + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(found);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut contents = self.disk.0.lock();
        let mut file = self.bytes.lock();
        let grows = (offset + bytes.len() as u64).saturating_sub(file.now.len() as u64);
        let has_room = contents.failure != Some(Failure::Room);
        let fits = has_room && contents.room.is_none_or(|room| room >= grows);
        let is_whole = fits && contents.failure != Some(Failure::Write);
        let some = if is_whole { bytes.len() } else { bytes.len() / 2 };
        let written = bytes.get(..some).unwrap_or_default().to_vec();
        if let Some(room) = contents.room.as_mut().filter(|_| fits) {
            *room -= grows;
        }
        put(&mut file.now, &written, offset);
        file.pending.push(Change::Write(written, offset));
        match (is_whole, fits) {
            (true, _) => Ok(()),
            (false, false) => Err(io::ErrorKind::StorageFull.into()),
            (false, true) => Err(failed()),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut contents = self.disk.0.lock();
        let mut file = self.bytes.lock();
        let shrinks = (file.now.len() as u64).saturating_sub(len);
        if let Some(room) = &mut contents.room {
            *room += shrinks;
        }
        file.now.resize(len as usize, 0);
        file.pending.push(Change::SetLen(len));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let contents = self.disk.0.lock();
        let mut file = self.bytes.lock();
        if contents.failure == Some(Failure::Sync) {
            // As Linux does: it forgets what it could not write, and says so only once.
            file.pending.clear();
            return Err(failed());
        }
        // Only what was written since then is: what was forgotten stays so.
        for change in std::mem::take(&mut file.pending) {
            apply(&mut file.synced, &change, 255);
        }
        Ok(())
    }
}

impl Disk for MemoryDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Within(self.clone(), String::new()).list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Within(self.clone(), String::new()).create(name)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Within(self.clone(), String::new()).open(name)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Within(self.clone(), String::new()).remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        Within(self.clone(), String::new()).sync()
    }

    fn directory(&self, name: &str) -> io::Result<Arc<dyn Disk>> {
        Within(self.clone(), String::new()).directory(name)
    }
}
