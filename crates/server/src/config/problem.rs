use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::source::{Origin, Place, Sources};
use super::units::without_password;

/// One thing that is wrong, and where.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    title: String,
    marks: Vec<(Place, String)>,
    help: Option<String>,
}

impl Problem {
    /// A problem that has no place.
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), marks: Vec::new(), help: None }
    }

    /// Points at `place`; the first call is the culprit, later ones show what it clashes with.
    pub(super) fn at(mut self, place: &Place, label: impl Into<String>) -> Self {
        self.marks.push((place.clone(), label.into()));
        self
    }

    /// Says what to do.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Where it is shown among others: in the order of the sources and their texts.
    fn order(&self) -> Option<&Place> {
        self.marks.first().map(|(place, _)| place)
    }

    fn group<'a>(&'a self, level: &Level<'a>, sources: &'a Sources) -> Group<'a> {
        let mut group = Group::with_title(level.clone().primary_title(self.title.as_str()));
        let mut rest = self.marks.as_slice();
        // Marks that share a text share a snippet.
        while let Some(((first, _), _)) = rest.split_first() {
            let shared = rest.iter().take_while(|(place, _)| place.shares_source(first)).count();
            let (here, others) = rest.split_at(shared);
            group = group.elements(snippet(here, sources, rest.len() == self.marks.len()));
            rest = others;
        }
        group.elements(self.help.as_deref().map(|help| Level::HELP.message(help)))
    }
}

fn snippet<'a>(
    marks: &'a [(Place, String)],
    sources: &'a Sources,
    has_culprit: bool,
) -> Option<Snippet<'a, annotate_snippets::Annotation<'a>>> {
    let source = sources.get(&marks.first()?.0)?;
    let in_file = matches!(source.origin, Origin::File(_) | Origin::Profile(_));
    let mut snippet = Snippet::source(without_password(&source.text)).line_numbering(in_file);
    if in_file {
        snippet = snippet.path(source.origin.to_string());
    }
    let annotations = marks.iter().enumerate().map(|(at, (place, label))| {
        let is_culprit = has_culprit && at == 0;
        let kind = if is_culprit { AnnotationKind::Primary } else { AnnotationKind::Context };
        kind.span(place.span()).label((!label.is_empty()).then_some(label.as_str()))
    });
    Some(snippet.annotations(annotations))
}

fn render(
    level: &Level<'_>,
    problems: &[Problem],
    sources: &Sources,
    renderer: &Renderer,
) -> String {
    let reports = problems.iter().map(|p| renderer.render(&[p.group(level, sources)]));
    reports.collect::<Vec<_>>().join("\n\n")
}

/// Why a configuration was not taken: all that is wrong with it, each with its place.
///
/// `Display` writes it without colours; it never shows a password of a URL.
pub struct ConfigErrors {
    problems: Vec<Problem>,
    sources: Sources,
}

impl ConfigErrors {
    pub(super) fn new(mut problems: Vec<Problem>, sources: Sources) -> Self {
        problems.sort_by(|a, b| a.order().cmp(&b.order()));
        Self { problems, sources }
    }

    /// How many things are wrong; at least one.
    pub fn count(&self) -> usize {
        self.problems.len()
    }

    /// The first line of each error.
    pub fn titles(&self) -> impl Iterator<Item = &str> {
        self.problems.iter().map(|problem| problem.title.as_str())
    }

    /// The first line of each error, with where it is, such as `tidings.toml:3`, if it has a place.
    pub fn places(&self) -> impl Iterator<Item = (&str, Option<String>)> {
        self.problems.iter().map(|problem| {
            let place = problem.order().map(|place| self.sources.describe(place));
            (problem.title.as_str(), place)
        })
    }

    /// The errors with file, line, column and the offending text; coloured for a terminal where
    /// asked for.
    pub fn render(&self, colours: bool) -> String {
        render(&Level::ERROR, &self.problems, &self.sources, &renderer(colours))
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl fmt::Debug for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}

impl std::error::Error for ConfigErrors {}

/// What is odd about a configuration that was taken all the same.
#[derive(Clone, Debug, Default)]
pub struct Warnings {
    problems: Vec<Problem>,
    sources: Sources,
}

impl Warnings {
    pub(super) fn new(problems: Vec<Problem>, sources: Sources) -> Self {
        Self { problems, sources }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// One line for each.
    pub fn titles(&self) -> impl Iterator<Item = &str> {
        self.problems.iter().map(|problem| problem.title.as_str())
    }

    /// The warnings with the offending text; coloured for a terminal where asked for.
    pub fn render(&self, colours: bool) -> String {
        render(&Level::WARNING, &self.problems, &self.sources, &renderer(colours))
    }
}

fn renderer(colours: bool) -> Renderer {
    if colours { Renderer::styled() } else { Renderer::plain() }
}
