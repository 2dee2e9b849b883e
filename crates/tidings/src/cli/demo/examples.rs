/// A file that is served: its path behind `/examples/`, its media type, its contents.
pub(super) type File = (&'static str, &'static str, &'static str);

/// An example: a profile, a page, and a program that brings it to life.
pub(super) struct Example {
    /// The name of its profile, its dialect and its folder.
    pub(super) name: &'static str,
    /// What its page is called.
    pub(super) title: &'static str,
    /// What it shows, in a line.
    pub(super) about: &'static str,
    /// The program, in its folder.
    pub(super) program: &'static str,
    /// Where the program wants to be told how to reach the server, if it is not where it usually is.
    pub(super) reaches: Reaches,
}

/// How a program reaches the server.
pub(super) enum Reaches {
    /// It publishes over HTTP.
    Admin,
    /// It publishes over HTTP, and is connected as a client.
    Both,
    /// The server reaches it.
    Neither,
}

/// All of them, in the order in which they are shown.
pub(super) const ALL: &[Example] = &[
    Example {
        name: "trainer",
        title: "Training",
        about: "A model learns to draw digits; pause it, stop it, let it draw.",
        program: "train.py",
        reaches: Reaches::Both,
    },
    Example {
        name: "table",
        title: "Pool table",
        about: "Balls that a camera sees, the shot that is aimed, and the film.",
        program: "play.py",
        reaches: Reaches::Admin,
    },
    Example {
        name: "speech",
        title: "Speech",
        about: "Speak, and read what was understood.",
        program: "recognizer.py",
        reaches: Reaches::Both,
    },
    Example {
        name: "gesture",
        title: "Gestures",
        about: "Draw gestures and ask questions; everybody sees the answers.",
        program: "answerer.py",
        reaches: Reaches::Neither,
    },
    Example {
        name: "studio",
        title: "Writing studio",
        about: "Documents of two users on four devices, over NATS.",
        program: "service.py",
        reaches: Reaches::Neither,
    },
];

const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = super::pages::SCRIPT;
const PAGE: &str = super::pages::PAGE;

macro_rules! files {
    ($($path:literal is $media_type:ident,)*) => {
        &[$(($path, $media_type, include_str!(concat!("../../../../../examples/", $path))),)*]
    };
}

/// All that the pages are made of.
pub(super) const FILES: &[File] = files![
    "web/look.css" is STYLE,
    "web/socket.js" is SCRIPT,
    "trainer/page/index.html" is PAGE,
    "trainer/page/trainer.css" is STYLE,
    "trainer/page/trainer.js" is SCRIPT,
    "trainer/page/chart.js" is SCRIPT,
    "table/page/index.html" is PAGE,
    "table/page/table.css" is STYLE,
    "table/page/table.js" is SCRIPT,
    "table/page/drawing.js" is SCRIPT,
    "speech/page/index.html" is PAGE,
    "speech/page/speech.css" is STYLE,
    "speech/page/speech.js" is SCRIPT,
    "speech/page/recorder.js" is SCRIPT,
    "gesture/page/index.html" is PAGE,
    "gesture/page/gesture.css" is STYLE,
    "gesture/page/gesture.js" is SCRIPT,
    "gesture/page/strokes.js" is SCRIPT,
    "studio/page/index.html" is PAGE,
    "studio/page/studio.css" is STYLE,
    "studio/page/studio.js" is SCRIPT,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_a_page_is_served() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        let served: BTreeSet<String> = FILES.iter().map(|(path, ..)| (*path).to_owned()).collect();
        let mut there = BTreeSet::new();
        for folder in ALL.iter().map(|example| format!("{}/page", example.name)) {
            for file in std::fs::read_dir(examples.join(&folder)).unwrap() {
                let name = file.unwrap().file_name().into_string().unwrap();
                there.insert(format!("{folder}/{name}"));
            }
        }
        there.extend(["web/look.css".to_owned(), "web/socket.js".to_owned()]);
        assert_eq!(served, there);
    }

    #[test]
    fn every_example_has_the_program_that_is_named() {
        for Example { name, program, .. } in ALL {
            let file = format!("{}/../../examples/{name}/{program}", env!("CARGO_MANIFEST_DIR"));
            assert!(Path::new(&file).is_file(), "{file}");
        }
    }
}
