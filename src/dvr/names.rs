//! Which files are recordings: a path with variables, read the other way round.

use crate::template::{self, Unsafe, Variables};
use crate::wire::limits::NAME_BYTES;

use super::options::template_of;

/// Digits that a number in a name has at most.
const NUMBER_DIGITS: usize = 20;
/// The longest name that is looked at, folders included.
const PATH_BYTES: usize = 4096;

/// The names that a path with variables may become, beneath the folder that all of them are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    root: String,
    /// The name beneath the root, without its suffix.
    parts: Vec<Part>,
    suffix: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// So many digits.
    Digits(usize),
    /// Digits, in ms since 1970.
    Timestamp,
    /// Digits, at least one.
    Number,
    /// A vhost or a stream.
    Name,
    /// An app, which may have several levels.
    App,
}

impl Names {
    /// The files of one stream. `path` is as in [`super::Options::path`].
    pub fn of_stream(path: &str, vhost: &str, app: &str, stream: &str) -> Result<Self, Unsafe> {
        let variables = Variables { vhost, app, stream, ..Variables::default() };
        Self::parse(path, |word| template::expand(word, &variables).map(Part::Text))
    }

    /// The files of all streams.
    pub fn of_all(path: &str) -> Self {
        let any = |word: &str| Ok::<_, Unsafe>(if word == "[app]" { Part::App } else { Part::Name });
        Self::parse(path, any).unwrap_or(Self { root: String::new(), parts: Vec::new(), suffix: "" })
    }

    /// The folder that all files are in, or in a folder of it.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// How many folders lie between the root and a file at most. `None`: any number.
    pub fn depth(&self) -> Option<usize> {
        let slashes = |part: &Part| match part {
            Part::Text(text) => Some(text.matches('/').count()),
            Part::App => None,
            _ => Some(0),
        };
        self.parts.iter().map(slashes).sum()
    }

    /// Whether a file may have this name, relative to the root, and if so in which ms since 1970 it was
    /// begun, where its name tells: outside and inside an `Option`.
    pub fn find(&self, name: &str) -> Option<Option<i64>> {
        let stem = name.strip_suffix(self.suffix).filter(|_| name.len() <= PATH_BYTES)?;
        let mut timestamp = None;
        if fits(&self.parts, stem, &mut timestamp) {
            return Some(timestamp);
        }
        // Where a name is taken the file gets another like it: `name-1.mp4`.
        let (stem, number) = stem.rsplit_once('-')?;
        let is_number = (1..=NUMBER_DIGITS).contains(&number.len()) && is_digits(number);
        (is_number && fits(&self.parts, stem, &mut timestamp)).then_some(timestamp)
    }

    fn parse(path: &str, mut name: impl FnMut(&str) -> Result<Part, Unsafe>) -> Result<Self, Unsafe> {
        let mut path = template_of(path);
        while path.contains("//") {
            path = path.replace("//", "/");
        }
        let suffix = if path.ends_with(".mp4") { ".mp4" } else { ".flv" };
        let mut rest = path.strip_suffix(suffix).unwrap_or(&path);
        let mut parts = Vec::new();
        while let Some((before, from)) = rest.find('[').map(|at| rest.split_at(at)) {
            let Some((variable, after)) = from.find(']').map(|at| from.split_at(at.saturating_add(1))) else {
                break;
            };
            text(&mut parts, before);
            match variable {
                "[vhost]" | "[app]" | "[stream]" => match name(variable)? {
                    Part::Text(known) => text(&mut parts, &known),
                    part => parts.push(part),
                },
                "[2006]" => parts.push(Part::Digits(4)),
                "[01]" | "[02]" | "[15]" | "[04]" | "[05]" => parts.push(Part::Digits(2)),
                "[999]" => parts.push(Part::Digits(3)),
                "[timestamp]" => parts.push(Part::Timestamp),
                "[seq]" | "[duration]" => parts.push(Part::Number),
                _ => text(&mut parts, variable),
            }
            rest = after;
        }
        text(&mut parts, rest);
        let root = match parts.first_mut() {
            Some(Part::Text(first)) => match first.rfind('/') {
                Some(at) => {
                    let below = first.split_off(at.saturating_add(1));
                    std::mem::replace(first, below)
                }
                None => String::new(),
            },
            _ => String::new(),
        };
        let root = match root.as_str() {
            "" => String::from("."),
            "/" => root,
            _ => root.trim_end_matches('/').to_owned(),
        };
        Ok(Self { root, parts, suffix })
    }
}

/// Adds text, which joins what text stands before it.
fn text(parts: &mut Vec<Part>, more: &str) {
    match parts.last_mut() {
        Some(Part::Text(text)) => text.push_str(more),
        _ if more.is_empty() => {}
        _ => parts.push(Part::Text(more.to_owned())),
    }
}

/// Whether the name is made of these parts. The longest that a part may be is tried first.
fn fits(parts: &[Part], name: &str, timestamp: &mut Option<i64>) -> bool {
    let Some((part, rest)) = parts.split_first() else { return name.is_empty() };
    let digits = name.bytes().take_while(u8::is_ascii_digit).count().min(NUMBER_DIGITS);
    let (least, most) = match part {
        Part::Text(text) => {
            return name.strip_prefix(text.as_str()).is_some_and(|after| fits(rest, after, timestamp));
        }
        Part::Digits(n) if digits < *n => return false,
        Part::Digits(n) => (*n, *n),
        Part::Timestamp | Part::Number => (1, digits),
        Part::Name => (1, name.find('/').unwrap_or(name.len()).min(NAME_BYTES)),
        Part::App => (1, name.len().min(NAME_BYTES)),
    };
    (least..=most).rev().any(|n| {
        let Some((this, after)) = name.split_at_checked(n) else { return false };
        let fits = fits(rest, after, timestamp);
        if fits && *part == Part::Timestamp {
            *timestamp = this.parse().ok();
        }
        fits
    })
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::template::Calendar;

    fn of_cam(path: &str) -> Names {
        Names::of_stream(path, "v", "live", "cam").unwrap()
    }

    #[test]
    fn a_streams_files_are_told_from_others() {
        let names = of_cam("/rec/[app]/[stream].[timestamp].mp4");
        assert_eq!((names.root(), names.depth()), ("/rec/live", Some(0)));
        assert_eq!(names.find("cam.1795180389714.mp4"), Some(Some(1_795_180_389_714)));
        assert_eq!(names.find("cam.7-12.mp4"), Some(Some(7)));
        for name in [
            "cam.mp4",
            "cam..mp4",
            "cam.1.flv",
            "cam.1.mp4.tmp",
            "cam.1.mp4/",
            "cam.x1.mp4",
            "cam2.1.mp4",
            "cam.1.2.mp4",
            "../live/cam.1.mp4",
            "cam.1-.mp4",
            "cam.1-2-3.mp4",
            "cam.123456789012345678901.mp4",
            "",
        ] {
            assert_eq!(names.find(name), None, "{name}");
        }
        let deep = of_cam("rec/[vhost]/[2006]-[01]/[02]/[stream]-[seq]-[duration] [15]:[04]:[05].[999].mp4");
        assert_eq!((deep.root(), deep.depth()), ("rec/v", Some(2)));
        assert_eq!(deep.find("2026-11/21/cam-4-0 01:02:03.456.mp4"), Some(None));
        assert_eq!(deep.find("2026-11/21/cam-4-0 01:02:03.4567.mp4"), None);
        assert_eq!(deep.find("2026-11/../cam-4-0 01:02:03.456.mp4"), None);
        for (path, root, name) in [
            ("[stream].mp4", ".", "cam.mp4"),
            ("/[stream].mp4", "/", "cam.mp4"),
            ("/rec/all.mp4", "/rec", "all.mp4"),
            ("/rec", "/rec", "cam.5.flv"),
            ("a[b]//[stream][", "a[b]/cam[", "[stream].5.flv"),
        ] {
            let names = of_cam(path);
            assert_eq!(names.root(), root);
            assert!(names.find(name).is_some(), "{path}: {names:?}");
        }
        assert!(Names::of_stream("[stream].mp4", "v", "live", "..").is_err());
    }

    #[test]
    fn all_streams_files_are_told_from_what_else_lies_there() {
        let all = Names::of_all("./html/[app]/[stream].[timestamp].flv");
        assert_eq!((all.root(), all.depth()), ("./html", None));
        for name in ["live/cam.1.flv", "a/b/c.2.1-3.flv"] {
            assert!(all.find(name).is_some(), "{name}");
        }
        for name in ["cam.1.flv", "live/cam.flv", "live/.1.flv", "live/cam.1.mp4", "demo/clip.flv"] {
            assert!(all.find(name).is_none(), "{name}");
        }
    }

    proptest! {
        /// What the recorder calls its files is found again, with its time.
        #[test]
        fn every_name_that_is_given_is_found(
            words in proptest::collection::vec(prop::sample::select(vec![
                "[vhost]", "[app]", "[stream]", "[seq]", "[duration]", "[2006]", "[01]", "[02]", "[15]",
                "[04]", "[05]", "[999]", "/", "-", ".", "x", "[other]",
            ]), 0..8),
            stream in "[a-z0-9.-]{1,6}x", seq in any::<u32>(), unix_ms in 0i64..1 << 43, again in any::<bool>(),
        ) {
            let path = format!("r/{}/[timestamp].mp4", words.concat());
            let when = Calendar { unix_ms, year: 2026, month: 1, day: 31, hour: 23, minute: 59, second: 7 };
            let (vhost, app) = ("v.example", "a/b");
            let variables = Variables {
                vhost, app, stream: &stream, seq: seq.into(), duration_ms: 0, timestamp: unix_ms, when,
            };
            let mut given = template::expand(&path, &variables).unwrap();
            while given.contains("//") {
                given = given.replace("//", "/");
            }
            if again {
                given = given.replace(".mp4", "-2.mp4");
            }
            for names in [Names::of_stream(&path, vhost, app, &stream).unwrap(), Names::of_all(&path)] {
                let below = given.strip_prefix(names.root()).and_then(|rest| rest.strip_prefix('/'));
                prop_assert_eq!(names.find(below.unwrap()), Some(Some(unix_ms)), "{:?} {}", names, given);
            }
        }

        #[test]
        fn anything_may_be_asked(path in "[\\[\\]a-z0-9/.-]{0,40}", name in any::<String>()) {
            Names::of_all(&path).find(&name);
            if let Ok(names) = Names::of_stream(&path, "v", "a", "s") {
                names.find(&name);
            }
        }
    }
}
