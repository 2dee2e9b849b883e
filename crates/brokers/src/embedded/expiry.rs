use std::collections::VecDeque;

use protocol::Seq;

/// In how many steps what count and bytes took becomes too old.
const YOUNG_MAX: u64 = 64;

/// Which events are too old to be delivered even by who still has them at hand, whichever bound
/// took them.
#[derive(Default)]
pub(crate) struct Expiry {
    expired: Seq,
    /// What count and bytes took, until it is too old too: in so few places that they take no room.
    young: VecDeque<Young>,
}

/// Events that went before their age, appended some time apart at most.
struct Young {
    last: Seq,
    /// When the first and the last of them were appended.
    from_ms: u64,
    to_ms: u64,
}

impl Expiry {
    /// Events before this seq are too old.
    pub(crate) fn expired(&self) -> Seq {
        self.expired
    }

    /// Lets time pass.
    pub(crate) fn age(&mut self, now_ms: u64, age_ms: u64) {
        let is_old = |young: &mut Young| now_ms.saturating_sub(young.to_ms) > age_ms;
        while let Some(gone) = self.young.pop_front_if(is_old) {
            self.expired = gone.last + 1;
        }
    }

    /// Events up to `last`, appended at `at_ms`, were taken by count or bytes.
    pub(crate) fn take_young(&mut self, last: Seq, at_ms: u64, age_ms: u64) {
        match self.young.back_mut() {
            Some(young) if at_ms.saturating_sub(young.from_ms) <= age_ms / YOUNG_MAX => {
                (young.last, young.to_ms) = (last, at_ms);
            }
            _ => self.young.push_back(Young { last, from_ms: at_ms, to_ms: at_ms }),
        }
    }

    /// Events up to `last` were taken because they are too old.
    pub(crate) fn take_old(&mut self, last: Seq) {
        self.expired = last + 1;
        self.young.clear();
    }
}
