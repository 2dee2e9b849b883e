use std::fmt;
use std::io;
use std::sync::Arc;

use protocol::{Durability, Epoch, StreamName};
use redb::{Builder, Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};

use super::super::fingerprint::Key;
use super::disk::{Disk, DiskFile};
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

/// What is small and changes rarely, in transactions that survive a loss of power.
pub(crate) struct Store(Database);

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
        let database =
            Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(Backend(file))?;
        disk.sync().map_err(redb::Error::Io)?;
        let store = Self(database);
        let changes = store.0.begin_write()?;
        changes.open_table(ONCE)?;
        changes.open_table(STREAMS)?;
        changes.commit()?;
        Ok(store)
    }

    /// The key of fingerprints and checksums, made of `random` where there is none yet.
    pub(crate) fn key(&self, random: &dyn Fn() -> u64) -> Result<Key> {
        let changes = self.0.begin_write()?;
        let key = {
            let mut once = changes.open_table(ONCE)?;
            let known = once.get("fingerprint_key")?.map(|value| value.value());
            match known {
                Some(key) => key,
                None => {
                    let key = [random(), random()];
                    once.insert("fingerprint_key", key)?;
                    key
                }
            }
        };
        changes.commit()?;
        Ok(Key(key))
    }

    /// What is noted of a stream; nothing where it cannot be understood.
    pub(crate) fn stream(&self, name: &StreamName) -> Result<Option<Note>> {
        let table = self.0.begin_read()?.open_table(STREAMS)?;
        let Some(found) = table.get(name.as_str())? else { return Ok(None) };
        let (epoch, boot, durability, synced, first) = found.value();
        let durability = match durability {
            "fsync" => Durability::Fsync,
            _ => Durability::Buffered,
        };
        let noted = Noted { synced, first };
        let epoch = Epoch::parse(epoch).ok();
        Ok(epoch.map(|epoch| Note { epoch, boot: boot.to_owned(), durability, noted }))
    }

    /// Notes of a stream, which survives a loss of power when this returns.
    pub(crate) fn note(&self, name: &StreamName, note: &Note) -> Result<()> {
        let changes = self.0.begin_write()?;
        {
            let Noted { synced, first } = note.noted;
            let durability = note.durability.as_str();
            let value = (note.epoch.as_str(), note.boot.as_str(), durability, synced, first);
            changes.open_table(STREAMS)?.insert(name.as_str(), value)?;
        }
        changes.commit()?;
        Ok(())
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
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(data, offset)
    }
}
