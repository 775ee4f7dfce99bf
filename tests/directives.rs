//! `docs/directives.md` is generated from the table of directives; this holds the committed one to it.
//! To write it anew: `make docs`.

use std::path::Path;

#[test]
fn the_committed_reference_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/directives.md");
    let generated = camrill::config::reference::markdown();
    if std::env::var("CAMRILL_DOCS").as_deref() == Ok("write") {
        std::fs::write(&path, generated).expect("the reference is written");
        return;
    }
    let committed = std::fs::read_to_string(&path).expect("docs/directives.md");
    for (n, (a, b)) in committed.lines().zip(generated.lines()).enumerate() {
        assert_eq!(a, b, "docs/directives.md:{}: stale; run `make docs`", n + 1);
    }
    assert_eq!(committed.lines().count(), generated.lines().count(), "stale; run `make docs`");
}
