//! File names with variables in them: `[app]/[stream]-[seq].ts`, in SRS's words.
//!
//! What stands in brackets is replaced when a file is begun. Stream names come from the network, so a
//! name that would lead out of its folder is refused.

use std::fmt::Write;

/// A moment on the wall clock, taken apart in the time zone that file names are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Calendar {
    /// Milliseconds since 1970-01-01 00:00 UTC.
    pub unix_ms: i64,
    /// Year, as 2026.
    pub year: i32,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 60.
    pub second: u8,
}

/// What the variables stand for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Variables<'a> {
    /// `[vhost]`
    pub vhost: &'a str,
    /// `[app]`
    pub app: &'a str,
    /// `[stream]`
    pub stream: &'a str,
    /// `[seq]`
    pub seq: u64,
    /// `[duration]`, in ms.
    pub duration_ms: u64,
    /// `[timestamp]`; where it isn't said otherwise, milliseconds since 1970.
    pub timestamp: i64,
    /// `[2006]` `[01]` `[02]` `[15]` `[04]` `[05]` `[999]`: year to millisecond.
    pub when: Calendar,
}

/// Why a name can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsafe {
    /// The part of the path that leads elsewhere.
    pub part: String,
}

impl std::fmt::Display for Unsafe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} is not a name for a file", self.part)
    }
}

/// The name with its variables replaced. What isn't a variable stays, brackets and all. Vhost, app and
/// stream may not be `.`, `..` or empty, nor hold NUL or a backslash; only an app may hold slashes.
pub fn expand(template: &str, variables: &Variables<'_>) -> Result<String, Unsafe> {
    let mut out = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some(at) = rest.find('[') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let Some((word, after)) = from.get(1..).and_then(|inner| inner.split_once(']')) else {
            rest = from;
            break;
        };
        let when = &variables.when;
        // Writing to a String doesn't fail.
        let _ = match word {
            "vhost" => out.write_str(component(variables.vhost)?),
            "app" => {
                variables.app.split('/').try_for_each(|part| component(part).map(|_| ()))?;
                out.write_str(variables.app)
            }
            "stream" => out.write_str(component(variables.stream)?),
            "seq" => write!(out, "{}", variables.seq),
            "duration" => write!(out, "{}", variables.duration_ms),
            "timestamp" => write!(out, "{}", variables.timestamp),
            "2006" => write!(out, "{:04}", when.year),
            "01" => write!(out, "{:02}", when.month),
            "02" => write!(out, "{:02}", when.day),
            "15" => write!(out, "{:02}", when.hour),
            "04" => write!(out, "{:02}", when.minute),
            "05" => write!(out, "{:02}", when.second),
            "999" => write!(out, "{:03}", when.unix_ms.rem_euclid(1000)),
            _ => write!(out, "[{word}]"),
        };
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn component(part: &str) -> Result<&str, Unsafe> {
    if part.is_empty() || part == "." || part == ".." || part.contains(['/', '\\', '\0']) {
        return Err(Unsafe { part: part.to_owned() });
    }
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable() {
        let when = Calendar {
            unix_ms: 1_795_180_389_714,
            year: 2026,
            month: 3,
            day: 4,
            hour: 5,
            minute: 6,
            second: 7,
        };
        let vars = Variables {
            vhost: "v",
            app: "a/b",
            stream: "s",
            seq: 42,
            duration_ms: 2040,
            timestamp: 99,
            when,
        };
        let name = "[vhost]/[app]/[stream]-[seq]-[duration]-[timestamp]-[2006][01][02].[15][04][05].[999].ts";
        assert_eq!(expand(name, &vars).unwrap(), "v/a/b/s-42-2040-99-20260304.050607.714.ts");
        assert_eq!(expand("x[unknown][stream", &vars).unwrap(), "x[unknown][stream");
        assert_eq!(expand("[é][", &vars).unwrap(), "[é][");
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        for (app, stream) in
            [("live", ".."), ("../x", "s"), ("live", "a/b"), ("live", ""), ("a//b", "s"), ("live", "a\0")]
        {
            let vars = Variables { vhost: "v", app, stream, ..Variables::default() };
            assert!(expand("[app]/[stream].flv", &vars).is_err(), "{app} {stream}");
        }
    }
}
