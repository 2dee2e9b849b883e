//! What a filter costs an event: the streaming look-up against reading the data as a tree first.
//!
//! `cargo run --release -p tidings-protocol --example filter_cost`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example for developers")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use protocol::dialects::native::read_filter;
use protocol::{Filter, FilterSet, Payload};

const ROUNDS: u32 = 200_000;

fn filter(bound: u32) -> Arc<Filter> {
    let text = format!(
        r#"{{"all":[{{"field":"/confidence","op":"ge","value":0.{bound}}},
            {{"field":"/box/x","op":"lt","value":100}}]}}"#
    );
    Arc::new(read_filter(&text).unwrap())
}

/// Data with so many members that no filter names.
fn data(others: usize) -> Bytes {
    let others: String = (0..others).map(|n| format!(r#""other{n}":[{n},"text"],"#)).collect();
    format!(r#"{{{others}"confidence":0.85,"box":{{"x":-3,"y":12.5}}}}"#).into()
}

fn measure(name: &str, mut what: impl FnMut()) {
    let start = Instant::now();
    for _ in 0..ROUNDS {
        what();
    }
    println!("{name:>44}: {:>7.0} ns", start.elapsed().as_nanos() as f64 / f64::from(ROUNDS));
}

fn main() {
    for others in [2, 40] {
        let text = data(others);
        let payload = Payload::Json(text.clone());
        let one = filter(8);
        let ten = FilterSet::new((1..=10).map(filter));
        println!("{} bytes of data", text.len());
        measure("one filter", || {
            let _ = black_box(one.accepts(black_box(&payload)));
        });
        measure("ten filters, together", || {
            ten.judge(black_box(&payload), |_, verdict| {
                let _ = black_box(verdict);
            });
        });
        measure("reading a tree, for comparison", || {
            let tree: serde_json::Value = serde_json::from_slice(black_box(&text)).unwrap();
            drop(black_box(tree));
        });
    }
}
