//! `make install` into a tree of its own, programs built against that with pkg-config, and `make
//! uninstall`.

mod support;

use std::path::Path;
use std::process::Command;

use support::process::Process;
use support::{TempDir, repository, target};

fn make(goal: &str, root: &Path, more: &[&str]) {
    let mut make = Command::new("make");
    make.args(["--no-print-directory", goal, "PREFIX=/usr"]).arg(format!("DESTDIR={}", root.display()));
    make.args(more).current_dir(repository("")).env("CARGO_TARGET_DIR", target());
    // Not a part of whichever make runs the tests.
    make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
    let out = make.output().expect("make");
    assert!(out.status.success(), "make {goal}: {}", String::from_utf8_lossy(&out.stderr));
}

/// Every file and link below a folder, with where links lead.
fn files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(root).expect("below it").display().to_string();
            if let Ok(to) = std::fs::read_link(&path) {
                found.push(format!("{name} -> {}", to.display()));
            } else if path.is_dir() {
                folders.push(path);
            } else {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

fn pkg_config(root: &Path, lib: &str, args: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.args(args).arg("camrill").env("PKG_CONFIG_SYSROOT_DIR", root);
    command.env("PKG_CONFIG_LIBDIR", root.join(lib).join("pkgconfig"));
    command.env("PKG_CONFIG_ALLOW_SYSTEM_CFLAGS", "1").env("PKG_CONFIG_ALLOW_SYSTEM_LIBS", "1");
    let out = command.output().expect("pkg-config");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).split_whitespace().map(str::to_owned).collect()
}

/// Builds the smallest server as a stranger would, and sees it listen.
fn build_and_run(root: &Path, lib: &str, flags: &[String], is_static: bool) {
    let dir = TempDir::new();
    let (source, program) = (dir.join("server.c"), dir.join("server"));
    std::fs::copy(repository("examples-c/smallest-server.c"), &source).expect("the source");
    let mut cc = Command::new("cc");
    cc.args(["-std=c99", "-Wall", "-Werror", "-o"]).args([&program, &source]).args(flags);
    let out = cc.output().expect("a C compiler");
    assert!(out.status.success(), "{cc:?}: {}", String::from_utf8_lossy(&out.stderr));
    let needed = Command::new("readelf").arg("-dW").arg(&program).output().expect("readelf").stdout;
    let needed = String::from_utf8_lossy(&needed).into_owned();
    assert_eq!(needed.contains("libcamrill.so.0"), !is_static, "{needed}");
    let mut server = Command::new(&program);
    server.arg("127.0.0.1:0");
    if !is_static {
        server.env("LD_LIBRARY_PATH", root.join(lib));
    }
    let server = Process::start(&mut server);
    server.wait_log(1, "rtmp listening on 127.0.0.1:");
}

fn install_and_uninstall(lib: &str, more: &[&str]) {
    let dir = TempDir::new();
    let root = dir.join("root");
    make("install", &root, more);
    let version = env!("CARGO_PKG_VERSION");
    let mut expected = vec![
        "usr/bin/camrill-server".to_owned(),
        "usr/include/camrill.h".to_owned(),
        "usr/include/camrill.hpp".to_owned(),
        format!("{lib}/libcamrill.a"),
        format!("{lib}/libcamrill.so -> libcamrill.so.0"),
        format!("{lib}/libcamrill.so.0 -> libcamrill.so.{version}"),
        format!("{lib}/libcamrill.so.{version}"),
        format!("{lib}/pkgconfig/camrill.pc"),
    ];
    expected.sort();
    assert_eq!(files(&root), expected);
    assert_eq!(pkg_config(&root, lib, &["--modversion"]), [version]);

    let shared = pkg_config(&root, lib, &["--cflags", "--libs"]);
    assert!(shared.contains(&format!("-L{}", root.join(lib).display())), "{shared:?}");
    build_and_run(&root, lib, &shared, false);
    // pkg-config has no word for "the archive of it": that one is named.
    let mut archive = pkg_config(&root, lib, &["--cflags", "--libs", "--static"]);
    for flag in archive.iter_mut().filter(|flag| *flag == "-lcamrill") {
        *flag = "-l:libcamrill.a".to_owned();
    }
    build_and_run(&root, lib, &archive, true);

    let server = Command::new(root.join("usr/bin/camrill-server")).arg("-v").output().expect("the server");
    assert_eq!(String::from_utf8_lossy(&server.stdout), format!("camrill {version}\n"));

    // Twice is once.
    make("install", &root, more);
    assert_eq!(files(&root), expected);
    make("uninstall", &root, more);
    assert_eq!(files(&root), Vec::<String>::new());
}

#[test]
fn what_is_installed_can_be_built_against_and_removed() {
    install_and_uninstall("usr/lib", &[]);
    install_and_uninstall("usr/lib/x86_64-linux-gnu", &["LIBDIR=/usr/lib/x86_64-linux-gnu"]);
}
