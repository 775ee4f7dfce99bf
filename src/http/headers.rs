//! Header fields, of a request or a response.

/// Header fields in their order (RFC 9110, 5). Names are compared without regard to case.
///
/// They are held as they go over the wire, so that neither a name nor a value can bring a line of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// `name: value\r\n` for each.
    text: String,
}

impl Headers {
    /// No fields.
    pub const fn new() -> Self {
        Self { text: String::new() }
    }

    /// Adds a field. Control characters in its value become spaces; what can't stand in a name is left out,
    /// and a field without a name is too.
    pub fn push(&mut self, name: &str, value: &str) {
        let before = self.text.len();
        self.text.extend(name.chars().filter(|c| u8::try_from(*c).is_ok_and(is_token)));
        if self.text.len() == before {
            return;
        }
        self.text.push_str(": ");
        let visible = |c: char| if c.is_ascii_control() && c != '\t' { ' ' } else { c };
        self.text.extend(value.trim_matches([' ', '\t']).chars().map(visible));
        self.text.push_str("\r\n");
    }

    /// The value of the first field of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The values of all fields of that name.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Whether the token is in the comma-separated lists of that name's fields, in any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name).flat_map(|list| list.split(',')).any(|t| t.trim().eq_ignore_ascii_case(token))
    }

    /// All fields, names as they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.text.split_terminator("\r\n").filter_map(|line| line.split_once(": "))
    }

    /// How they go over the wire: each ends in CR LF.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Whether the byte may stand in a token (RFC 9110, 5.6.2).
pub(super) fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_have_no_case_and_values_keep_theirs() {
        let mut headers = Headers::new();
        headers.push("Accept", "a");
        headers.push("ACCEPT", "B");
        headers.push("x-empty", "");
        headers.push("Connection", "keep-alive, Upgrade");
        headers.push("connection", "x");
        assert_eq!(headers.get("accept"), Some("a"));
        assert_eq!(headers.all("Accept").collect::<Vec<_>>(), ["a", "B"]);
        assert_eq!(headers.get("X-Empty"), Some(""));
        assert_eq!(headers.get("x"), None);
        assert!(headers.has_token("Connection", "upgrade") && headers.has_token("Connection", "X"));
        assert!(!headers.has_token("Connection", "keep"));
        assert_eq!(headers.iter().count(), 5);
        assert!(headers.as_str().starts_with("Accept: a\r\nACCEPT: B\r\n"));
    }

    #[test]
    fn nothing_brings_a_line_of_its_own() {
        let mut headers = Headers::new();
        headers.push("Location", " /a\r\nSet-Cookie: b\0c\t ");
        headers.push("X\r\nY: z", "1");
        headers.push(" :\r\n", "2");
        let fields: Vec<_> = headers.iter().collect();
        assert_eq!(fields, [("Location", "/a  Set-Cookie: b c"), ("XYz", "1")]);
    }

    proptest! {
        #[test]
        fn what_is_pushed_comes_back(fields in prop::collection::vec(("[a-zA-Z-]{1,9}", "\\PC{0,20}"), 0..9)) {
            let mut headers = Headers::new();
            for (name, value) in &fields {
                headers.push(name, value);
            }
            let trimmed = fields.iter().map(|(n, v)| (n.as_str(), v.trim_matches([' ', '\t'])));
            prop_assert!(headers.iter().eq(trimmed));
        }

        #[test]
        fn any_field_is_one_line(name in any::<String>(), value in any::<String>()) {
            let mut headers = Headers::new();
            headers.push(&name, &value);
            let lines = headers.as_str().matches(['\r', '\n']).count();
            prop_assert_eq!(lines, 2 * headers.iter().count());
        }
    }
}
