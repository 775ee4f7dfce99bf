//! `make install` into a tree of its own, programs built against that, also when it was moved, and `make uninstall`.

mod support;

use std::path::Path;
use std::process::Command;

use support::linking::{self, Tree, files, headers, run};
use support::{TempDir, repository};

fn make(goal: &str, root: &Path, more: &[&str]) {
    let mut variables = vec!["PREFIX=/usr".to_owned(), format!("DESTDIR={}", root.display())];
    variables.extend(more.iter().map(|&one| one.to_owned()));
    linking::make(&repository(""), goal, &variables);
}

fn install_and_uninstall(lib: &str, more: &[&str]) {
    let dir = TempDir::new();
    let root = dir.join("root");
    make("install", &root, more);
    let version = env!("CARGO_PKG_VERSION");
    let mut expected = headers("usr/include");
    expected.extend([
        "usr/bin/camrill-camera".to_owned(),
        "usr/bin/camrill-server".to_owned(),
        "usr/share/doc/camrill/LICENSE-APACHE".to_owned(),
        "usr/share/doc/camrill/LICENSE-MIT".to_owned(),
        "usr/share/man/man1/camrill-server.1".to_owned(),
        format!("usr/{lib}/cmake/camrill/camrill-config-version.cmake"),
        format!("usr/{lib}/cmake/camrill/camrill-config.cmake"),
        format!("usr/{lib}/libcamrill.a"),
        format!("usr/{lib}/libcamrill.so -> libcamrill.so.0"),
        format!("usr/{lib}/libcamrill.so.0 -> libcamrill.so.{version}"),
        format!("usr/{lib}/libcamrill.so.{version}"),
        format!("usr/{lib}/pkgconfig/camrill.pc"),
    ]);
    expected.sort();
    assert_eq!(files(&root), expected);

    // As a sysroot, and moved to a prefix of its own.
    Tree { prefix: root.join("usr"), lib, options: vec![], sysroot: Some(&root) }.check();
    let moved = dir.join("moved");
    std::fs::rename(root.join("usr"), &moved).expect("moved");
    let options = vec![format!("--define-variable=prefix={}", moved.display())];
    Tree { prefix: moved.clone(), lib, options, sysroot: None }.check();
    std::fs::rename(&moved, root.join("usr")).expect("moved back");

    let server = run(Command::new(root.join("usr/bin/camrill-server")).arg("-v"));
    assert_eq!(server, format!("camrill {version}\n"));
    let page = std::fs::read_to_string(root.join("usr/share/man/man1/camrill-server.1")).expect("the manual");
    assert!(page.contains(&format!("\"camrill {version}\"")), "{page}");

    // Twice is once.
    make("install", &root, more);
    assert_eq!(files(&root), expected);
    make("uninstall", &root, more);
    assert_eq!(files(&root), Vec::<String>::new());
    assert!(!root.join("usr/share/doc/camrill").exists(), "a folder of its own is left behind");
}

#[test]
fn what_is_installed_can_be_built_against_and_removed() {
    install_and_uninstall("lib", &[]);
    // As Debian has it: the one more folder that CMake searches.
    let lib = format!("lib/{}", run(Command::new("cc").arg("-print-multiarch")).trim());
    install_and_uninstall(&lib, &[&format!("LIBDIR=/usr/{lib}")]);
}
