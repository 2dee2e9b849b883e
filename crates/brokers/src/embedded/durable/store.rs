use std::fmt;
use std::io;
use std::sync::Arc;

use engine::{Cursor, Device};
use parking_lot::Mutex;
use protocol::{Durability, Epoch, StreamName};
use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend,
    TableDefinition, WriteTransaction,
};

use super::super::fingerprint::Key;
use super::disk::{self, Disk, DiskFile};
use super::recover::Noted;

/// The name of the file.
pub(crate) const FILE: &str = "state.redb";
/// What redb may hold in memory.
const CACHE_BYTES: usize = 8 << 20;

/// What there is once: by name.
const ONCE: TableDefinition<'_, &str, [u64; 2]> = TableDefinition::new("once");
/// Epoch, boot id, durability, last synced seq, first kept seq of each durable stream.
const STREAMS: TableDefinition<'_, &str, (&str, &str, &str, u64, u64)> =
    TableDefinition::new("streams");

/// How far devices have acknowledged.
const CURSORS: TableDefinition<'_, DeviceKey, CursorValue> = TableDefinition::new("cursors");

/// Stream, user and device.
type DeviceKey = (&'static str, Option<&'static str>, &'static str);
/// Epoch, seq, when it was acknowledged, and when it was last used, in ms since 1970.
type CursorValue = (&'static str, u64, u64, u64);

/// What is small, in transactions that survive a loss of power.
pub(crate) struct Store {
    file: Arc<dyn DiskFile>,
    /// Closed where the last transaction found no room.
    database: Mutex<Option<Database>>,
}

/// How far a device has acknowledged a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) cursor: Cursor,
    /// When it was last used, in ms since 1970.
    pub(crate) used_ms: u64,
}

/// What is noted of a stream beside its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) epoch: Epoch,
    /// Since which start of the machine it is written.
    pub(crate) boot: String,
    /// What its acknowledgements claim since.
    pub(crate) durability: Durability,
    pub(crate) noted: Noted,
}

type Result<T> = std::result::Result<T, redb::Error>;

impl Store {
    pub(crate) fn open(disk: &dyn Disk) -> Result<Self> {
        let file = match disk.open(FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(FILE),
            other => other,
        };
        let file = file.map_err(redb::Error::Io)?;
        write_again(&*file).map_err(redb::Error::Io)?;
        let database = open(&file)?;
        disk.sync().map_err(redb::Error::Io)?;
        let store = Self { file, database: Mutex::new(Some(database)) };
        store.change(|changes| {
            changes.open_table(ONCE)?;
            changes.open_table(STREAMS)?;
            changes.open_table(CURSORS)?;
            Ok(())
        })?;
        Ok(store)
    }

    /// Makes a change, which survives a loss of power when this returns.
    fn change<T>(&self, change: impl FnOnce(&WriteTransaction) -> Result<T>) -> Result<T> {
        let mut place = self.database.lock();
        let database = match place.take() {
            Some(database) => database,
            None => open(&self.file)?,
        };
        let result = commit(&database, change);
        // redb uses a file no more that failed once. Where only room was missing, it may again.
        if !result.as_ref().is_err_and(is_full) {
            *place = Some(database);
        }
        result
    }

    fn read<T>(&self, read: impl FnOnce(&ReadTransaction) -> Result<T>) -> Result<T> {
        match &*self.database.lock() {
            Some(database) => read(&database.begin_read()?),
            None => Err(redb::Error::DatabaseClosed),
        }
    }

    /// The key of fingerprints and checksums, made of `random` where there is none yet.
    pub(crate) fn key(&self, random: &dyn Fn() -> u64) -> Result<Key> {
        self.change(|changes| {
            let mut once = changes.open_table(ONCE)?;
            let known = once.get("fingerprint_key")?.map(|value| value.value());
            if let Some(key) = known {
                return Ok(Key(key));
            }
            let key = [random(), random()];
            once.insert("fingerprint_key", key)?;
            Ok(Key(key))
        })
    }

    /// What is noted of a stream; nothing where it cannot be understood.
    pub(crate) fn stream(&self, name: &StreamName) -> Result<Option<Note>> {
        self.read(|state| {
            let table = state.open_table(STREAMS)?;
            let Some(found) = table.get(name.as_str())? else { return Ok(None) };
            let (epoch, boot, durability, synced, first) = found.value();
            let durability = match durability {
                "fsync" => Durability::Fsync,
                _ => Durability::Buffered,
            };
            let noted = Noted { synced, first };
            let epoch = Epoch::parse(epoch).ok();
            Ok(epoch.map(|epoch| Note { epoch, boot: boot.to_owned(), durability, noted }))
        })
    }

    /// Forgets what was noted of a stream, so that it begins a new epoch where it is opened again.
    pub(crate) fn forget_stream(&self, name: &StreamName) -> Result<()> {
        self.change(|changes| {
            changes.open_table(STREAMS)?.remove(name.as_str())?;
            Ok(())
        })
    }

    /// Notes of a stream, which survives a loss of power when this returns.
    pub(crate) fn note(&self, name: &StreamName, note: &Note) -> Result<()> {
        let Noted { synced, first } = note.noted;
        let durability = note.durability.as_str();
        let value = (note.epoch.as_str(), note.boot.as_str(), durability, synced, first);
        self.change(|changes| {
            changes.open_table(STREAMS)?.insert(name.as_str(), value)?;
            Ok(())
        })
    }

    /// How far devices have acknowledged a stream, but for what cannot be understood.
    pub(crate) fn cursors(&self, name: &StreamName) -> Result<Vec<(Device, Row)>> {
        self.read(|state| {
            let mut rows = Vec::new();
            for found in state.open_table(CURSORS)?.range((name.as_str(), None, "")..)? {
                let (key, value) = found?;
                let (stream, user, device) = key.value();
                if stream != name.as_str() {
                    break;
                }
                let (epoch, seq, at_ms, used_ms) = value.value();
                if let Ok(epoch) = Epoch::parse(epoch) {
                    let device = Device { user: user.map(Arc::from), name: device.into() };
                    rows.push((device, Row { cursor: Cursor { epoch, seq, at_ms }, used_ms }));
                }
            }
            Ok(rows)
        })
    }

    /// Stores cursors of devices, and removes those of devices that have none.
    pub(crate) fn store_cursors<'a>(
        &self,
        rows: impl Iterator<Item = (&'a StreamName, &'a Device, Option<&'a Row>)>,
    ) -> Result<()> {
        self.change(|changes| {
            let mut table = changes.open_table(CURSORS)?;
            for (stream, device, row) in rows {
                let key = (stream.as_str(), device.user.as_deref(), &*device.name);
                match row {
                    Some(Row { cursor, used_ms }) => {
                        let value = (cursor.epoch.as_str(), cursor.seq, cursor.at_ms, *used_ms);
                        table.insert(key, value)?;
                    }
                    None => drop(table.remove(key)?),
                }
            }
            Ok(())
        })
    }
}

fn open(file: &Arc<dyn DiskFile>) -> Result<Database> {
    let builder = &mut Builder::new();
    Ok(builder.set_cache_size(CACHE_BYTES).create_with_backend(Backend(file.clone()))?)
}

fn commit<T>(
    database: &Database,
    change: impl FnOnce(&WriteTransaction) -> Result<T>,
) -> Result<T> {
    let changes = database.begin_write()?;
    let made = change(&changes)?;
    changes.commit()?;
    Ok(made)
}

/// Whether an error means that there is no room, which passes when somebody makes some.
pub(crate) fn is_full(error: &redb::Error) -> bool {
    matches!(error, redb::Error::Io(error) if disk::is_full(error))
}

/// An earlier process may have been told that a sync failed: the system may think by now that all
/// is on the disk, and what is built on it would be lost with it.
fn write_again(file: &dyn DiskFile) -> io::Result<()> {
    let bytes = disk::read_all(file)?;
    match file.write_at(&bytes, 0).and_then(|()| file.sync()) {
        // Nothing was changed; there will be room.
        Err(error) if disk::is_full(&error) => Ok(()),
        result => result,
    }
}

/// The file of the database.
struct Backend(Arc<dyn DiskFile>);

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FILE)
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        // Whatever the reason, what was not synced may be lost for good.
        self.0.sync().map_err(io::Error::other)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(data, offset)
    }
}
