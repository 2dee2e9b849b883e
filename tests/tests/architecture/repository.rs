use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use cargo_metadata::{Metadata, MetadataCommand};

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Files that git tracks or would track, as paths from the root.
static FILES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut git = Command::new("git");
    git.current_dir(root()).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = git.output().expect("git is needed to list the files");
    assert!(output.status.success(), "git lists no files: this is no clone");
    let list = String::from_utf8(output.stdout).unwrap();
    let paths = list.split_terminator('\0').filter(|path| root().join(path).is_file());
    paths.map(str::to_owned).collect()
});

/// Files with an extension.
pub(crate) fn files(extension: &str) -> impl Iterator<Item = String> {
    let has_it = move |path: &&String| Path::new(path).extension().is_some_and(|e| e == extension);
    FILES.iter().filter(has_it).cloned()
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file that is text, with its path.
pub(crate) fn texts() -> impl Iterator<Item = (String, String)> {
    let text = |path: &String| Some((path.clone(), fs::read_to_string(root().join(path)).ok()?));
    FILES.iter().filter_map(text)
}

pub(crate) fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml"));
    command.exec().expect("cargo knows the workspace")
}
