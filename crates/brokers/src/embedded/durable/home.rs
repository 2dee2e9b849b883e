use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::StreamName;

use super::super::fingerprint::Key;
use super::super::options::Options;
use super::disk::{Directory, Disk};
use super::keeper::Keeper;
use super::reader::Readers;
use super::store::{FILE, Store};

/// The file that the process holds locked that uses the directory.
const LOCK: &str = "lock";

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process uses it.
    #[error("another server uses the directory {}", .0.display())]
    InUse(PathBuf),
    /// It cannot be read or written.
    #[error("cannot use the directory {}: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A stream cannot be read or written.
    #[error("cannot open stream `{name}`: {source}")]
    Stream {
        /// Its name.
        name: StreamName,
        /// What the system says.
        source: io::Error,
    },
    /// What is noted beside the streams cannot be read.
    #[error("cannot use {FILE}: {0}")]
    Store(#[from] Box<redb::Error>),
}

impl From<redb::Error> for OpenError {
    fn from(error: redb::Error) -> Self {
        Self::Store(Box::new(error))
    }
}

/// A directory with streams in it, and what they share.
pub(crate) struct Home {
    disk: Arc<dyn Disk>,
    pub(crate) store: Arc<Store>,
    pub(crate) readers: Readers,
    pub(crate) keeper: Keeper,
    pub(crate) key: Key,
    pub(crate) boot: String,
    /// Unlocked when it is closed, however the process ends.
    _lock: Option<File>,
}

impl Home {
    /// Locks and opens a directory.
    pub(crate) fn at(path: &Path, options: &Options) -> Result<Arc<Self>, OpenError> {
        let of_directory = |source| OpenError::Directory { path: path.to_owned(), source };
        let disk = Directory::new(path).map_err(of_directory)?;
        let lock = File::create(path.join(LOCK)).map_err(of_directory)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(of_directory(source)),
        }
        Self::on(Arc::new(disk), Some(lock), options)
    }

    /// Opens a disk that nobody else can use.
    pub(crate) fn on(
        disk: Arc<dyn Disk>,
        lock: Option<File>,
        options: &Options,
    ) -> Result<Arc<Self>, OpenError> {
        let open = || -> Result<_, redb::Error> {
            let store = Arc::new(Store::open(&*disk)?);
            let key = store.key(&*options.random)?;
            Ok((store, key))
        };
        // redb panics at some of what damage leaves.
        let opened = engine::isolated(open);
        let (store, key) = opened.unwrap_or_else(|_| {
            Err(redb::Error::Corrupted("it cannot be understood".to_owned()))
        })?;
        let readers = Readers::start().map_err(redb::Error::Io)?;
        let keeper = Keeper::start(store.clone(), options).map_err(redb::Error::Io)?;
        let boot = (options.boot)();
        Ok(Arc::new(Self { disk, store, readers, keeper, key, boot, _lock: lock }))
    }

    /// The directory of a stream.
    pub(crate) fn stream(&self, name: &StreamName) -> io::Result<Arc<dyn Disk>> {
        self.disk.directory("streams")?.directory(name.as_str())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.keeper.close();
        self.readers.close();
    }
}
