//! The tables of `docs/protocol.md` that are derived from those of the code.
// Helpers of tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use protocol::{CloseReason, ErrorCode};

fn error_codes() -> String {
    let mut table = String::from(
        "| code | HTTP status | again later? | meaning |\n| --- | --- | --- | --- |\n",
    );
    for code in ErrorCode::ALL {
        let again = if code.is_retryable() { "yes" } else { "no" };
        let (status, meaning) = (code.http_status(), code.meaning());
        table += &format!("| `{code}` | {status} | {again} | {meaning} |\n");
    }
    table
}

fn close_codes() -> String {
    let mut table = String::from("| code | come back? | reason |\n| --- | --- | --- |\n");
    for reason in CloseReason::ALL {
        let back = if reason.should_reconnect() { "yes" } else { "no" };
        table += &format!("| {} | {back} | {} |\n", reason.code(), reason.text());
    }
    table
}

/// The page with `table` between the lines that open and close the part of that name.
fn with_table(page: &str, name: &str, table: &str) -> String {
    let (open, close) = (format!("<!-- {name}: derived"), "<!-- end -->");
    let start = page.find(&open).expect("the part is opened");
    let start = start + page.get(start..).and_then(|rest| rest.find("-->\n")).unwrap() + 4;
    let rest = page.get(start..).unwrap_or_default();
    let end = start + rest.find(close).expect("the part is closed");
    let (before, behind) = (page.get(..start).unwrap(), page.get(end..).unwrap());
    format!("{before}\n{table}\n{behind}")
}

/// With `UPDATE_DOCS` set, writes the tables instead.
#[test]
fn protocol_page_has_the_tables() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md");
    let kept = std::fs::read_to_string(path).unwrap();
    let page = with_table(&kept, "error codes", &error_codes());
    let page = with_table(&page, "close codes", &close_codes());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
        return;
    }
    assert!(
        kept == page,
        "docs/protocol.md differs from the tables in crates/protocol; to write them again: \
         UPDATE_DOCS=1 cargo test -p tidings-protocol protocol_page"
    );
}
