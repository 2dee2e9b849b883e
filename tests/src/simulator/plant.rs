use engine::StreamTable;

use super::record::Put;
use super::store::{Ask, Luck};
use super::wire::Heard;

/// A bug that is put into a world, outside the engine, to see whether it is found.
#[derive(Default)]
pub struct Planted {
    plant: Option<Plant>,
}

/// Which bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// An append is answered and then lost.
    AcknowledgeEarly,
}

impl Planted {
    pub(super) fn luck(&mut self, _: &Ask, luck: Luck) -> Luck {
        luck
    }

    pub(super) fn epoch_bits(&mut self, bits: u64) -> u64 {
        bits
    }

    pub(super) fn tamper(&mut self, _: usize, _: &StreamTable, _: &mut Vec<(Heard, Put)>) {}
}
