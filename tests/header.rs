//! `include/camrill.h` is generated from `src/ffi`; this holds the committed one to it. To write it
//! anew: `make header`.

use std::path::Path;

fn generated() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindings/cbindgen.toml")).expect("cbindgen.toml");
    let mut header = Vec::new();
    // These files and no others: the rest of the crate is not C's.
    [
        "types",
        "engine",
        "config",
        "control",
        "programs",
        "publisher",
        "http",
        "hls",
        "sink",
        "recorder",
        "relays",
        "player",
        "tls",
        "transport",
        "handle",
    ]
    .iter()
    .fold(cbindgen::Builder::new(), |b, file| b.with_src(root.join(format!("src/ffi/{file}.rs"))))
    .with_config(config)
    .generate()
    .expect("the header is generated")
    .write(&mut header);
    // Rust's safety sections say what C's own conventions say already.
    let text = String::from_utf8(header).expect("the header is UTF-8");
    let mut out: Vec<&str> = Vec::new();
    let mut in_safety = false;
    for line in text.lines() {
        in_safety = (in_safety || line == "// # Safety") && line.starts_with("//");
        if in_safety {
            if line == "// # Safety" && out.last() == Some(&"//") {
                out.pop();
            }
            continue;
        }
        out.push(line);
    }
    out.join("\n") + "\n"
}

#[test]
fn the_committed_header_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/camrill.h");
    let generated = generated();
    if std::env::var("CAMRILL_HEADER").as_deref() == Ok("write") {
        std::fs::write(&path, generated).expect("the header is written");
        return;
    }
    let committed = std::fs::read_to_string(&path).expect("include/camrill.h");
    for (n, (a, b)) in committed.lines().zip(generated.lines()).enumerate() {
        assert_eq!(a, b, "include/camrill.h:{}: stale; run `make header`", n + 1);
    }
    assert_eq!(committed.lines().count(), generated.lines().count(), "stale; run `make header`");
}

#[test]
fn versions_agree() {
    let major: u32 = env!("CARGO_PKG_VERSION_MAJOR").parse().expect("a number");
    let minor: u32 = env!("CARGO_PKG_VERSION_MINOR").parse().expect("a number");
    let patch: u32 = env!("CARGO_PKG_VERSION_PATCH").parse().expect("a number");
    assert_eq!(camrill::ffi::camrill_version(), major << 16 | minor << 8 | patch);
}

#[test]
fn error_numbers_agree() {
    use camrill::error::Code;
    use camrill::ffi::*;

    let pairs = [
        (CAMRILL_EINVAL, Code::InvalidArgument),
        (CAMRILL_ECONFIG, Code::Config),
        (CAMRILL_ENOENT, Code::NotFound),
        (CAMRILL_EFRAME, Code::BadFrame),
        (CAMRILL_ESTATE, Code::State),
        (CAMRILL_EREENTRANT, Code::Reentrant),
        (CAMRILL_EFORKED, Code::Forked),
        (CAMRILL_EBUSY, Code::Busy),
        (CAMRILL_EIO, Code::Io),
        (CAMRILL_EADDRESS, Code::Address),
        (CAMRILL_EPROTOCOL, Code::Protocol),
        (CAMRILL_EAGAIN, Code::Again),
        (CAMRILL_ELIMIT, Code::Limit),
        (CAMRILL_ENOMEM, Code::Memory),
        (CAMRILL_EBUFFER, Code::Buffer),
        (CAMRILL_ETLS, Code::Tls),
        (CAMRILL_EPANIC, Code::Panic),
    ];
    for (number, code) in pairs {
        assert_eq!(number, code.number(), "{code:?}");
    }
}
