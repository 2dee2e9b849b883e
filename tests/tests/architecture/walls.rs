use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, Metadata, PackageId};

/// Which crates of ours a crate may know.
struct Wall {
    package: &'static str,
    may_know: &'static [&'static str],
    /// Besides those, in its tests.
    tests_may_know: &'static [&'static str],
    /// A state machine or a vocabulary: nothing that it depends on may have a runtime or a socket.
    is_pure: bool,
}

const fn wall(package: &'static str, may_know: &'static [&'static str]) -> Wall {
    Wall { package, may_know, tests_may_know: &[], is_pure: false }
}

const fn pure(package: &'static str, may_know: &'static [&'static str]) -> Wall {
    Wall { is_pure: true, ..wall(package, may_know) }
}

const ALL: &[&str] = &[
    "tidings-websocket",
    "tidings-protocol",
    "tidings-engine",
    "tidings-brokers",
    "tidings-server",
    "tidings-client",
    "tidings",
];

const WALLS: &[Wall] = &[
    pure("tidings-websocket", &[]),
    pure("tidings-protocol", &[]),
    pure("tidings-engine", &["tidings-protocol"]),
    wall("tidings-brokers", &["tidings-protocol", "tidings-engine"]),
    wall("tidings-server", &["tidings-protocol", "tidings-engine", "tidings-websocket"]),
    wall("tidings-client", &["tidings-protocol", "tidings-websocket"]),
    wall("tidings", ALL),
    wall("tidings-tests", ALL),
    // Measures from outside, as a client does.
    wall("tidings-bench", &["tidings-protocol", "tidings-websocket", "tidings-client", "tidings"]),
    wall("xtask", &[]),
];

/// Runtimes, sockets and what is made for them.
const OUTSIDE: &[&str] = &[
    "async-io",
    "async-net",
    "async-std",
    "h2",
    "hyper",
    "io-uring",
    "mio",
    "polling",
    "quinn",
    "reqwest",
    "rustls",
    "smol",
    "socket2",
    "tokio",
    "tungstenite",
    "ureq",
];

/// An edge from one crate of ours to another.
struct Edge<'a> {
    from: &'a str,
    to: &'a str,
    is_for_tests: bool,
}

/// Dependencies that no wall allows, and crates that have no wall.
pub(crate) fn edges(metadata: &Metadata) -> Vec<String> {
    let ours: BTreeSet<&str> =
        metadata.workspace_packages().iter().map(|package| package.name.as_str()).collect();
    let mut breaches = Vec::new();
    for package in metadata.workspace_packages() {
        let from = package.name.as_str();
        if !WALLS.iter().any(|wall| wall.package == from) {
            breaches.push(format!("{from} is new: write down what it may know"));
        }
        for dependency in &package.dependencies {
            let (to, kind) = (dependency.name.as_str(), dependency.kind);
            let is_for_tests = kind == DependencyKind::Development;
            if ours.contains(to) && !is_allowed(&Edge { from, to, is_for_tests }) {
                breaches.push(format!("{from} may not know {to}"));
            }
        }
    }
    breaches
}

fn is_allowed(edge: &Edge<'_>) -> bool {
    let Some(wall) = WALLS.iter().find(|wall| wall.package == edge.from) else { return false };
    wall.may_know.contains(&edge.to) || edge.is_for_tests && wall.tests_may_know.contains(&edge.to)
}

/// Runtimes and sockets that a pure crate depends on, through whatever crates.
pub(crate) fn reached(metadata: &Metadata) -> Vec<String> {
    let mut breaches = Vec::new();
    for wall in WALLS.iter().filter(|wall| wall.is_pure) {
        for way in ways_outside(metadata, wall.package) {
            breaches.push(way.join(" → "));
        }
    }
    breaches
}

/// How a package gets to something outside.
fn ways_outside(metadata: &Metadata, package: &str) -> Vec<Vec<String>> {
    let start = metadata.packages.iter().find(|other| other.name.as_str() == package);
    let start = start.unwrap_or_else(|| panic!("there is no {package}"));
    let name = |id: &PackageId| metadata[id].name.to_string();
    let mut seen = BTreeSet::from([&start.id]);
    let mut ahead = vec![(&start.id, vec![name(&start.id)])];
    let mut ways = Vec::new();
    let nodes = &metadata.resolve.as_ref().expect("cargo resolved the workspace").nodes;
    while let Some((id, way)) = ahead.pop() {
        if OUTSIDE.contains(&name(id).as_str()) {
            ways.push(way);
            continue;
        }
        let node = nodes.iter().find(|node| node.id == *id);
        for dependency in node.into_iter().flat_map(|node| &node.deps) {
            let is_normal =
                |kind: &cargo_metadata::DepKindInfo| kind.kind == DependencyKind::Normal;
            if dependency.dep_kinds.iter().any(is_normal) && seen.insert(&dependency.pkg) {
                let way = way.iter().cloned().chain([name(&dependency.pkg)]).collect();
                ahead.push((&dependency.pkg, way));
            }
        }
    }
    ways
}

/// A manifest without the lints that all share.
pub(crate) fn lints(path: &str, manifest: &str) -> Option<String> {
    let takes_them = manifest.replace(' ', "").contains("[lints]\nworkspace=true");
    (!takes_them).then(|| format!("{path}: does not take the workspace's lints"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walls_hold() {
        let allowed = |from, to, is_for_tests| is_allowed(&Edge { from, to, is_for_tests });
        assert!(allowed("tidings-engine", "tidings-protocol", false));
        assert!(allowed("tidings", "tidings-brokers", false));
        assert!(allowed("tidings-tests", "tidings-engine", true));
        assert!(!allowed("tidings-protocol", "tidings-engine", false));
        assert!(!allowed("tidings-engine", "tidings-websocket", false));
        assert!(!allowed("tidings-engine", "tidings-brokers", true));
        assert!(!allowed("tidings-brokers", "tidings-server", false));
        assert!(!allowed("tidings-server", "tidings-brokers", false));
        assert!(!allowed("tidings-server", "tidings-client", true));
        assert!(!allowed("tidings-client", "tidings-engine", false));
        assert!(!allowed("tidings-websocket", "tidings-protocol", false));
        assert!(!allowed("a-new-crate", "tidings-protocol", false));
    }

    #[test]
    fn the_way_outside_is_found_through_other_crates() {
        let metadata = super::super::repository::metadata();
        let ways = ways_outside(&metadata, "tidings-client");
        let to_mio = ways.iter().any(|way| way.contains(&"tokio".to_owned()));
        assert!(to_mio, "the client uses tokio, and that is not seen: {ways:?}");
    }

    #[test]
    fn missing_lints_are_found() {
        assert_eq!(lints("a", "[package]\n[lints]\nworkspace = true\n"), None);
        assert!(lints("a", "[package]\n[lints.rust]\nunsafe_code = \"allow\"\n").is_some());
    }
}
