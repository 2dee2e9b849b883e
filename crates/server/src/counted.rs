use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::Rate;
use crate::rate::Bucket;

/// Who is remembered before those that are in no hurry are forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// How often each did something of late, at endpoints that bound it.
#[derive(Default)]
pub(crate) struct Counted {
    buckets: Mutex<HashMap<Key, Bucket>>,
}

/// Who, at which endpoint, and the rate: it may be changed, and differ between roles.
type Key = (Whom, Arc<str>, Rate);

/// Whose doings are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Whom {
    User(Arc<str>),
    Network(IpAddr),
}

impl Whom {
    /// Everybody at an address.
    pub(crate) fn network(address: IpAddr) -> Self {
        Self::Network(network_of(address))
    }
}

impl Counted {
    /// Counts one more at the endpoint of an id, or says in how many ms one more is allowed.
    pub(crate) fn count(
        &self,
        whom: Whom,
        endpoint: &Arc<str>,
        rate: Rate,
        now_ms: u64,
    ) -> Result<(), u64> {
        let mut buckets = self.buckets.lock();
        if buckets.len() >= REMEMBERED_MAX {
            buckets.retain(|_, bucket| !bucket.is_full(now_ms));
        }
        let key = (whom, endpoint.clone(), rate);
        buckets.entry(key).or_insert_with(|| Bucket::new(rate)).take(now_ms)
    }
}

/// One customer of a provider has a whole /64 of IPv6 addresses.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::from((u128::from(v6) >> 64 << 64).to_be_bytes()),
    }
}
