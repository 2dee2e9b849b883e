/// A step in the table.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) seconds: u64,
    pub(super) outcome: Outcome,
}

pub(super) enum Outcome {
    /// With what is worth knowing about it.
    Fine(String),
    Failed(String),
    LeftOut,
}

/// What ran, how long, and how it ended.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = format!("\n{:<10} {:>7}  result\n", "step", "time");
    for row in rows {
        let time = format!("{}:{:02}", row.seconds / 60, row.seconds % 60);
        let (time, result) = match &row.outcome {
            Outcome::Fine(note) if note.is_empty() => (time, "ok".to_owned()),
            Outcome::Fine(note) => (time, format!("ok: {note}")),
            Outcome::Failed(why) => (time, format!("FAILED: {why}")),
            Outcome::LeftOut => (String::new(), "left out".to_owned()),
        };
        text += &format!("{:<10} {time:>7}  {result}\n", row.name);
    }
    let seconds: u64 = rows.iter().map(|row| row.seconds).sum();
    text + &format!("{:<10} {:>4}:{:02}\n", "all", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_every_step() {
        let rows = [
            Row { name: "fmt", seconds: 2, outcome: Outcome::Fine(String::new()) },
            Row { name: "deny", seconds: 61, outcome: Outcome::Fine("advisories skipped".into()) },
            Row { name: "tests", seconds: 600, outcome: Outcome::Failed("`cargo test`".into()) },
            Row { name: "browser", seconds: 0, outcome: Outcome::LeftOut },
        ];
        let expected = "
step          time  result
fmt           0:02  ok
deny          1:01  ok: advisories skipped
tests        10:00  FAILED: `cargo test`
browser             left out
all          11:03
";
        assert_eq!(table(&rows), expected);
    }
}
