use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::time::Instant;

use serde::Serialize;
use sysinfo::{Disks, Error, Networks, System};

/// Most disks and interfaces that are listed; all count in the sums.
const LISTED_MAX: usize = 32;

/// The processor.
pub(super) struct Cpu(System);

/// What `<root>.cpu` says.
#[derive(Debug, Serialize)]
pub(super) struct CpuFigures {
    /// Of all cores, 0 to 100, over the interval.
    pub(super) percent: f64,
    /// Of each core.
    cores: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load_1m: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load_5m: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load_15m: Option<f64>,
}

impl Cpu {
    pub(super) fn open() -> Result<Self, Error> {
        let mut system = System::new()?;
        system.refresh_cpu_usage();
        Ok(Self(system))
    }

    pub(super) fn read(&mut self) -> Option<CpuFigures> {
        self.0.refresh_cpu_usage();
        let load = System::load_average().ok();
        let cores = self.0.cpus().iter();
        Some(CpuFigures {
            percent: rounded(f64::from(self.0.global_cpu_usage())),
            cores: cores.map(|core| rounded(f64::from(core.usage()))).collect(),
            load_1m: load.as_ref().map(|load| load.one),
            load_5m: load.as_ref().map(|load| load.five),
            load_15m: load.as_ref().map(|load| load.fifteen),
        })
    }
}

/// Memory and swap.
pub(super) struct Memory(System);

/// What `<root>.memory` says.
#[derive(Debug, Serialize)]
pub(super) struct MemoryFigures {
    /// Used of total.
    percent: f64,
    pub(super) used_bytes: u64,
    available_bytes: u64,
    pub(super) total_bytes: u64,
    swap_used_bytes: u64,
    swap_total_bytes: u64,
}

impl Memory {
    pub(super) fn open() -> Result<Self, Error> {
        Ok(Self(System::new()?))
    }

    pub(super) fn read(&mut self) -> Option<MemoryFigures> {
        self.0.refresh_memory();
        let (used, total) = (self.0.used_memory(), self.0.total_memory());
        (total > 0).then(|| MemoryFigures {
            percent: share(used, total),
            used_bytes: used,
            available_bytes: self.0.available_memory(),
            total_bytes: total,
            swap_used_bytes: self.0.used_swap(),
            swap_total_bytes: self.0.total_swap(),
        })
    }
}

/// Disks.
pub(super) struct Disk {
    disks: Disks,
    read_at: Instant,
}

/// What `<root>.disk` says.
#[derive(Debug, Serialize)]
pub(super) struct DiskFigures {
    /// Used of total, of all disks.
    percent: f64,
    used_bytes: u64,
    total_bytes: u64,
    read_bytes_per_second: u64,
    written_bytes_per_second: u64,
    disks: Vec<OneDisk>,
}

/// One disk, where it is mounted first.
#[derive(Debug, Serialize)]
struct OneDisk {
    mount: String,
    file_system: String,
    percent: f64,
    used_bytes: u64,
    available_bytes: u64,
    total_bytes: u64,
}

impl Disk {
    pub(super) fn open() -> Result<Self, Error> {
        Ok(Self { disks: Disks::new_with_refreshed_list()?, read_at: Instant::now() })
    }

    pub(super) fn read(&mut self) -> Option<DiskFigures> {
        self.disks.refresh(true);
        let seconds = seconds_since(&mut self.read_at);
        // A device may be mounted at several places.
        let mut devices: BTreeSet<&OsStr> = BTreeSet::new();
        let disks: Vec<_> = self.disks.iter().filter(|disk| devices.insert(disk.name())).collect();
        let total: u64 = disks.iter().map(|disk| disk.total_space()).sum();
        let available: u64 = disks.iter().map(|disk| disk.available_space()).sum();
        let used = total.saturating_sub(available);
        let read = disks.iter().map(|disk| disk.usage().read_bytes).sum();
        let written = disks.iter().map(|disk| disk.usage().written_bytes).sum();
        (total > 0).then(|| DiskFigures {
            percent: share(used, total),
            used_bytes: used,
            total_bytes: total,
            read_bytes_per_second: per_second(read, seconds),
            written_bytes_per_second: per_second(written, seconds),
            disks: disks.iter().take(LISTED_MAX).map(|disk| OneDisk::of(disk)).collect(),
        })
    }
}

impl OneDisk {
    fn of(disk: &sysinfo::Disk) -> Self {
        let (total, available) = (disk.total_space(), disk.available_space());
        let used = total.saturating_sub(available);
        Self {
            mount: disk.mount_point().to_string_lossy().into_owned(),
            file_system: disk.file_system().to_string_lossy().into_owned(),
            percent: share(used, total),
            used_bytes: used,
            available_bytes: available,
            total_bytes: total,
        }
    }
}

/// Network interfaces.
pub(super) struct Network {
    networks: Networks,
    read_at: Instant,
}

/// What `<root>.network` says. The sums leave out the loopback interface.
#[derive(Debug, Serialize)]
pub(super) struct NetworkFigures {
    received_bytes_per_second: u64,
    sent_bytes_per_second: u64,
    interfaces: Vec<Interface>,
}

/// One network interface.
#[derive(Debug, Serialize)]
struct Interface {
    name: String,
    received_bytes_per_second: u64,
    sent_bytes_per_second: u64,
    received_bytes: u64,
    sent_bytes: u64,
}

impl Network {
    pub(super) fn open() -> Result<Self, Error> {
        Ok(Self { networks: Networks::new_with_refreshed_list()?, read_at: Instant::now() })
    }

    pub(super) fn read(&mut self) -> Option<NetworkFigures> {
        self.networks.refresh(true);
        let seconds = seconds_since(&mut self.read_at);
        let mut interfaces: Vec<_> = self
            .networks
            .iter()
            .map(|(name, data)| Interface {
                name: name.to_string_lossy().into_owned(),
                received_bytes_per_second: per_second(data.received(), seconds),
                sent_bytes_per_second: per_second(data.transmitted(), seconds),
                received_bytes: data.total_received(),
                sent_bytes: data.total_transmitted(),
            })
            .collect();
        interfaces.sort_by(|a, b| a.name.cmp(&b.name));
        let outside = || interfaces.iter().filter(|interface| interface.name != "lo");
        let received = outside().map(|interface| interface.received_bytes_per_second).sum();
        let sent = outside().map(|interface| interface.sent_bytes_per_second).sum();
        interfaces.truncate(LISTED_MAX);
        Some(NetworkFigures {
            received_bytes_per_second: received,
            sent_bytes_per_second: sent,
            interfaces,
        })
    }
}

/// To one place behind the point: more would be noise.
fn rounded(percent: f64) -> f64 {
    (percent * 10.0).round() / 10.0
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { rounded(part as f64 / whole as f64 * 100.0) }
}

fn per_second(count: u64, seconds: f64) -> u64 {
    if seconds > 0.0 { (count as f64 / seconds).round() as u64 } else { 0 }
}

/// The time since `last`, which becomes now.
fn seconds_since(last: &mut Instant) -> f64 {
    let now = Instant::now();
    now.duration_since(std::mem::replace(last, now)).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_rates_never_divide_by_zero() {
        assert_eq!(share(1, 0), 0.0);
        assert_eq!(share(1, 3), 33.3);
        assert_eq!(per_second(10, 0.0), 0);
        assert_eq!(per_second(10, 0.5), 20);
    }

    #[test]
    fn this_host_has_a_processor_and_memory() {
        let mut cpu = Cpu::open().unwrap();
        std::thread::sleep(sysinfo::MINIMUM_CPU_UPDATE_INTERVAL);
        let figures = cpu.read().unwrap();
        assert!((0.0..=100.0).contains(&figures.percent), "{figures:?}");
        assert!(!figures.cores.is_empty());
        let figures = Memory::open().unwrap().read().unwrap();
        assert!(figures.used_bytes > 0 && figures.used_bytes <= figures.total_bytes);
    }
}
