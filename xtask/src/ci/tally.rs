/// Who prints the lines that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runner {
    Cargo,
    Autobahn,
    Node,
    Python,
}

/// Tests, counted from the lines of their runners.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    pub(super) fn read(&mut self, runner: Runner, line: &str) {
        let found = match runner {
            Runner::Cargo => cargo(line),
            Runner::Autobahn => autobahn(line),
            Runner::Node => node(line),
            Runner::Python => python(line),
        };
        if let Some(found) = found {
            self.add(&found);
        }
    }
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; …`
fn cargo(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |word: &str| {
        let part = counts.split("; ").find_map(|part| part.strip_suffix(word));
        part.and_then(|part| part.trim().parse().ok())
    };
    Some(Tally { passed: count("passed")?, failed: count("failed")? })
}

/// `301 of 301 {'OK': 298, 'INFORMATIONAL': 3}`: cases that ran, and how they went. What is
/// neither of these two, or did not run, failed.
fn autobahn(line: &str) -> Option<Tally> {
    let (counts, behaviors) = line.split_once(" {")?;
    let expected: u64 = counts.split_once(" of ")?.1.parse().ok()?;
    let behaviors = behaviors.trim_end_matches('}').split(", ");
    let good = behaviors.filter_map(|behavior| {
        let (name, count) = behavior.split_once(": ")?;
        matches!(name, "'OK'" | "'INFORMATIONAL'").then(|| count.parse::<u64>().ok())?
    });
    let passed = good.sum::<u64>().min(expected);
    Some(Tally { passed, failed: expected - passed })
}

/// `# pass 3`, `# fail 0`, `# cancelled 0`; the sign in front depends on the reporter.
fn node(line: &str) -> Option<Tally> {
    let (_, rest) = line.split_once(' ').filter(|(sign, _)| matches!(*sign, "#" | "ℹ"))?;
    let (word, count) = rest.split_once(' ')?;
    let count = count.parse().ok()?;
    match word {
        "pass" => Some(Tally { passed: count, failed: 0 }),
        "fail" | "cancelled" => Some(Tally { passed: 0, failed: count }),
        _ => None,
    }
}

/// `test_name (module.Class.test_name) ... ok`
fn python(line: &str) -> Option<Tally> {
    match line.rsplit_once(" ... ")?.1 {
        "ok" => Some(Tally { passed: 1, failed: 0 }),
        "FAIL" | "ERROR" => Some(Tally { passed: 0, failed: 1 }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(runner: Runner, line: &str) -> (u64, u64) {
        let mut tally = Tally::default();
        tally.read(runner, line);
        (tally.passed, tally.failed)
    }

    #[test]
    fn reads_cargo() {
        let line = "test result: FAILED. 13 passed; 2 failed; 1 ignored; 0 measured; 0 filtered \
                    out; finished in 0.31s";
        assert_eq!(read(Runner::Cargo, line), (13, 2));
        assert_eq!(read(Runner::Cargo, "test index::finds ... ok"), (0, 0));
        assert_eq!(read(Runner::Cargo, "running 13 tests"), (0, 0));
    }

    #[test]
    fn reads_autobahn() {
        let line = "301 of 301 {'OK': 298, 'INFORMATIONAL': 3}";
        assert_eq!(read(Runner::Autobahn, line), (301, 0));
        let line = "300 of 301 {'OK': 290, 'NON-STRICT': 6, 'INFORMATIONAL': 4}";
        assert_eq!(read(Runner::Autobahn, line), (294, 7));
        assert_eq!(read(Runner::Autobahn, "0 of 301 {}"), (0, 301));
        assert_eq!(read(Runner::Autobahn, "core: 247 cases in 12 s"), (0, 0));
    }

    #[test]
    fn reads_node() {
        let mut tally = Tally::default();
        for line in ["# tests 5", "# pass 3", "ℹ fail 1", "# cancelled 1", "ok 1 - passes # time"]
        {
            tally.read(Runner::Node, line);
        }
        assert_eq!((tally.passed, tally.failed), (3, 2));
    }

    #[test]
    fn reads_python() {
        assert_eq!(read(Runner::Python, "test_a (module.Class.test_a) ... ok"), (1, 0));
        assert_eq!(read(Runner::Python, "test_a (module.Class.test_a) ... FAIL"), (0, 1));
        assert_eq!(read(Runner::Python, "setUpClass (module.Class) ... ERROR"), (0, 1));
        assert_eq!(read(Runner::Python, "test_a (module.Class.test_a) ... skipped 'x'"), (0, 0));
        assert_eq!(read(Runner::Python, "Ran 3 tests in 0.1s"), (0, 0));
    }
}
