//! The page of all directives, made from the table, so that it cannot say anything else.

use super::table::{self, Directive, Kind, Named};

/// The directive reference as Markdown: what camrill does first, and then what it takes and ignores.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Directives\n\n\
        <!-- Made from the table in src/config/table; edit that. -->\n\n\
        The names are SRS's; those marked *ours* SRS doesn't know. A path is the words down to a directive; in\n\
        `camrill_config_set()` a named block takes its name after it, as in `vhost/demo.example.com/play/gop_cache`.\n\
        A variable of a vhost's directive overrules that of every vhost. *Reload* says whether a reload takes\n\
        a change in; else the next start does.\n\n\
        ## Built\n\n\
        | directive | takes | default | variable | reload | what it is |\n\
        |---|---|---|---|---|---|\n",
    );
    for row in table::rows().filter(|row| row.built) {
        let cells = [
            format!("`{}`{}", row.path, if row.ours { " *ours*" } else { "" }),
            takes(row),
            code(row.default),
            code(&row.env_name().unwrap_or_default()),
            if row.is_block() {
                ""
            } else if row.reload {
                "yes"
            } else {
                "no"
            }
            .into(),
            row.doc.into(),
        ];
        line(&mut out, &cells);
    }
    out.push_str(
        "\n## Taken and ignored\n\n\
        SRS has these and camrill not yet. They are accepted, so that a device's configuration goes on\n\
        loading, and named in a warning unless they are turned off.\n\n\
        | directive | takes | SRS's default | variable | what it is |\n\
        |---|---|---|---|---|\n",
    );
    for row in table::rows().filter(|row| !row.built) {
        let cells = [
            format!("`{}`", row.path),
            takes(row),
            code(row.default),
            code(&row.env_name().unwrap_or_default()),
            row.doc.into(),
        ];
        line(&mut out, &cells);
    }
    out
}

fn line(out: &mut String, cells: &[String]) {
    for cell in cells {
        out.push_str("| ");
        out.push_str(&cell.replace('|', "\\|"));
        out.push(' ');
    }
    out.push_str("|\n");
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

fn takes(row: &Directive) -> String {
    let range = |min: String, max: String, unit: &str| format!("{min} to {max} {unit}").trim_end().to_owned();
    match row.kind {
        Kind::Block { named: Named::No } => "block".into(),
        Kind::Block { named: Named::Maybe } => "block, with or without a name".into(),
        Kind::Block { named: Named::Yes } => "block with a name".into(),
        Kind::Free => "block of anything".into(),
        Kind::Switch => "`on` or `off`".into(),
        Kind::Int { min, max, unit } => range(min.to_string(), max.to_string(), unit),
        Kind::Float { min, max, unit } => range(min.to_string(), max.to_string(), unit),
        Kind::Word(choices) => choices.iter().map(|c| format!("`{c}`")).collect::<Vec<_>>().join(", "),
        Kind::Text => "text".into(),
        Kind::Texts => "words".into(),
        Kind::Listen => "ports or addresses".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directive_is_on_the_page() {
        let page = markdown();
        for row in table::rows() {
            assert_eq!(page.matches(&format!("| `{}`", row.path)).count(), 1, "{}", row.path);
        }
        let line =
            "| `vhost/play/gop_cache` | `on` or `off` | `on` | `SRS_VHOST_PLAY_GOP_CACHE` | yes | Begin";
        assert!(page.contains(line));
        assert!(page.contains("| `handshake_timeout` *ours* | 100 to 3600000 ms | `10000` |"));
    }
}
