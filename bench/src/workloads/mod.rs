pub(crate) mod fanout;
pub(crate) mod idle;
pub(crate) mod resume;
pub(crate) mod saturate;

use serde_json::{Value, json};

use crate::clients::Clients;

/// What must be so for the figures to mean anything.
pub(crate) fn checks(clients: &Clients, expected: u64) -> Value {
    json!({
        "expected": expected,
        "received": clients.received,
        "disordered": clients.disordered,
        "gaps": clients.gaps,
    })
}
