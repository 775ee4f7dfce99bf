//! What `make dist` and `make deb` make: the same bytes in whichever folder, nothing of this machine in them, all the
//! parts named with their licences, and all of it of use where it was unpacked.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

use support::linking::{Tree, files, headers, run};
use support::{TempDir, repository, target};

/// A time for what is made; any will do, when it is the same twice.
const EPOCH: &str = "1700000000";

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `make GOAL` with the sources in one folder, and what is built in another.
fn make(goal: &str, sources: &Path, out: &Path) {
    let mut make = Command::new("make");
    make.args(["--no-print-directory", goal]).current_dir(sources).env("CARGO_TARGET_DIR", out);
    make.env("SOURCE_DATE_EPOCH", EPOCH).env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
    run(&mut make);
}

/// The Debian packages of these sources: the library, its development files, the server.
fn debian_packages() -> [PathBuf; 3] {
    static MADE: Once = Once::new();
    MADE.call_once(|| make("deb", &repository(""), &target()));
    PACKAGES.map(|name| target().join("deb").join(deb(name)))
}

const PACKAGES: [&str; 3] = ["libcamrill0", "libcamrill-dev", "camrill-server"];

fn architecture() -> String {
    run(Command::new("dpkg").arg("--print-architecture")).trim().to_owned()
}

/// The file name of a package.
fn deb(name: &str) -> String {
    format!("{name}_{VERSION}-1_{}.deb", architecture())
}

/// The machine's triple as rustc has it.
fn triple() -> String {
    let said = run(Command::new("rustc").arg("-vV"));
    said.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host").to_owned()
}

/// The tarball's name without what it ends with.
fn name() -> String {
    format!("camrill-{VERSION}-{}", triple().replace("-unknown-", "-"))
}

/// The sources as somebody else would have them, without what was built or fetched.
fn copy_sources(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (path, name) = (entry.path(), entry.file_name());
        if [".git", ".tools", "target"].iter().any(|&not| name == not) {
            continue;
        }
        if path.is_dir() {
            copy_sources(&path, &to.join(name));
        } else {
            std::fs::copy(&path, to.join(name)).expect("a copy");
        }
    }
}

fn unpack(tarball: &Path, into: &Path) {
    std::fs::create_dir_all(into).expect("a folder");
    run(Command::new("tar").arg("-xzf").arg(tarball).arg("-C").arg(into));
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Cargo's own folder, whose sources panics name.
fn cargo_home() -> String {
    let home = || format!("{}/.cargo", std::env::var("HOME").expect("a home"));
    std::env::var("CARGO_HOME").unwrap_or_else(|_| home())
}

#[test]
fn packages_are_the_same_from_anywhere_and_a_tarball_is_of_use_anywhere() {
    let dir = TempDir::new();
    let tarball = format!("{}.tar.gz", name());
    make("dist", &repository(""), &target());
    let first = target().join("dist").join(&tarball);
    let tree = dir.join("some where/else");
    unpack(&first, &tree);
    let root = dir.join("moved");
    std::fs::rename(tree.join(name()), &root).expect("moved");

    check_contents(&root);
    check_inventory(&root);
    Tree { prefix: root.clone(), lib: "lib", options: vec![], sysroot: None }.check();
    let said = run(Command::new(root.join("bin/camrill-server")).arg("-v"));
    assert_eq!(said, format!("camrill {VERSION}\n"));

    let (sources, out) = (dir.join("another/folder/with/sources"), dir.join("out"));
    copy_sources(&repository(""), &sources);
    make("dist", &sources, &out);
    let second = out.join("dist").join(&tarball);
    if std::fs::read(&first).expect("a tarball") != std::fs::read(&second).expect("a tarball") {
        let other = dir.join("other");
        unpack(&second, &other);
        let other = other.join(name());
        for name in files(&root).iter().filter(|name| !name.contains(" -> ")) {
            let same = std::fs::read(root.join(name)).ok() == std::fs::read(other.join(name)).ok();
            assert!(same, "{name} is not the same from two folders; see {}", dir.join("").display());
        }
        panic!("the tarballs' heads differ; see {}", dir.join("").display());
    }
    make("deb", &sources, &out);
    for (name, first) in PACKAGES.iter().zip(debian_packages()) {
        let second = std::fs::read(out.join("deb").join(deb(name))).expect("a package");
        assert!(
            std::fs::read(first).expect("a package") == second,
            "{name} is not the same from two folders"
        );
    }
}

fn check_contents(root: &Path) {
    let mut expected = headers("include");
    expected.extend(
        [
            "bin/camrill-camera",
            "bin/camrill-server",
            "lib/cmake/camrill/camrill-config-version.cmake",
            "lib/cmake/camrill/camrill-config.cmake",
            "lib/libcamrill.a",
            "lib/libcamrill.so -> libcamrill.so.0",
            &format!("lib/libcamrill.so.0 -> libcamrill.so.{VERSION}"),
            &format!("lib/libcamrill.so.{VERSION}"),
            "lib/pkgconfig/camrill.pc",
            "share/doc/camrill/CHANGELOG.md",
            "share/doc/camrill/LICENSE-APACHE",
            "share/doc/camrill/LICENSE-MIT",
            "share/doc/camrill/README.md",
            "share/doc/camrill/THIRD-PARTY.txt",
            "share/doc/camrill/camera.conf",
            "share/doc/camrill/camrill.cdx.json",
            "share/doc/camrill/directives.md",
            "share/doc/camrill/packaging.md",
            "share/man/man1/camrill-server.1",
        ]
        .map(str::to_owned),
    );
    expected.sort();
    let found = without_std_notices(files(root));
    assert_eq!(found, expected);
    for name in found.iter().filter(|name| !name.contains(" -> ")) {
        let bytes = std::fs::read(root.join(name)).expect("a file");
        for folder in [repository("").display().to_string(), cargo_home(), target().display().to_string()] {
            assert!(!contains(&bytes, folder.trim_end_matches('/')), "{name} names the folder {folder}");
        }
    }
}

/// Without what the compiler has with it or not.
fn without_std_notices(mut files: Vec<String>) -> Vec<String> {
    files.retain(|name| !name.contains("/COPYRIGHT-rust-std.html"));
    files
}

/// The list of parts and the licences are of exactly what is linked.
fn check_inventory(root: &Path) {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--target", &triple()]);
    let tree = run(tree.current_dir(repository("")));
    let linked: BTreeSet<(&str, &str)> = tree
        .lines()
        .map(|line| {
            let mut words = line.split(' ');
            let name = words.next().expect("a name");
            (name, words.next().and_then(|version| version.strip_prefix('v')).expect("a version"))
        })
        .collect();
    assert!(linked.contains(&("camrill", VERSION)) && linked.len() > 10, "{linked:?}");

    let path = root.join("share/doc/camrill/camrill.cdx.json");
    let sbom = std::fs::read_to_string(&path).expect("the SBOM");
    // Two levels deep: the whole and its parts, none of what they refer to.
    let purls: BTreeSet<&str> = sbom
        .lines()
        .filter_map(|line| line.strip_prefix("      \"purl\": \"pkg:")?.split('"').next())
        .filter(|purl| !purl.starts_with("generic/rust-std@"))
        .collect();
    let expected: BTreeSet<String> =
        linked.iter().map(|(name, version)| format!("cargo/{name}@{version}")).collect();
    assert_eq!(purls, expected.iter().map(String::as_str).collect::<BTreeSet<_>>());
    assert!(sbom.contains("pkg:generic/rust-std@"), "the standard library is linked too");
    let lock = std::fs::read_to_string(repository("Cargo.lock")).expect("the lock file");
    for block in lock.split("[[package]]").filter(|block| block.contains("checksum = ")) {
        let field = |name: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(&format!("{name} = \"")));
            line.expect("a field").trim_end_matches('"')
        };
        if linked.contains(&(field("name"), field("version"))) {
            assert!(sbom.contains(field("checksum")), "{}: no checksum", field("name"));
        }
    }
    let mut validate = Command::new("python3");
    validate.env("PYTHONPATH", repository("tests/.tools/python")).arg("-c").arg(
        "import sys\n\
         from cyclonedx.schema import SchemaVersion\n\
         from cyclonedx.validation.json import JsonStrictValidator\n\
         sys.exit(str(JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read()) or '') or 0)",
    );
    run(validate.arg(&path));

    let third = std::fs::read_to_string(root.join("share/doc/camrill/THIRD-PARTY.txt")).expect("the notices");
    for (name, version) in linked.iter().filter(|(name, _)| *name != "camrill") {
        assert!(third.contains(&format!("\n{name} {version} (")), "no notice of {name} {version}");
    }
    assert!(third.contains("Permission is hereby granted"), "the licences' texts are missing");
}

/// The inventory of a scratch project whose one dependency has a licence.
fn inventory_of(licence: &str) -> Result<String, String> {
    let dir = TempDir::new();
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    write(
        "Cargo.toml",
        "[package]\nname = \"whole\"\nversion = \"1.0.0\"\n[dependencies]\npart = { path = \"part\" }\n[workspace]\n",
    );
    write("src/lib.rs", "");
    write(
        "part/Cargo.toml",
        &format!("[package]\nname = \"part\"\nversion = \"2.0.0\"\nlicense = \"{licence}\"\n"),
    );
    write("part/src/lib.rs", "");
    write("part/LICENSE.txt", "Do as you please.");
    let script = std::fs::read_to_string(repository("cbindings/package/inventory.py")).expect("the script");
    write("cbindings/package/inventory.py", &script);
    run(Command::new(env!("CARGO")).args(["generate-lockfile", "--offline"]).current_dir(dir.join("")));
    let mut python = Command::new("python3");
    let out =
        python.arg(dir.join("cbindings/package/inventory.py")).arg("third-party").output().expect("python3");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) }
}

#[test]
fn licences_that_ask_for_more_than_a_notice_are_refused() {
    for licence in ["MIT", "MIT/Apache-2.0", "GPL-3.0-only OR ISC", "(MIT OR GPL-2.0-only) AND Unicode-3.0"] {
        let listed = inventory_of(licence).expect("allowed");
        assert!(
            listed.contains("part 2.0.0 (LICENSE.txt)") && listed.contains("Do as you please."),
            "{listed}"
        );
    }
    for licence in ["GPL-3.0-only", "MIT AND GPL-3.0-only", "MPL-2.0", "Apache-2.0 WITH Something", ""] {
        let refused = inventory_of(licence).expect_err("not allowed");
        assert!(refused.contains("part 2.0.0: ") && refused.contains(licence), "{refused}");
    }
}

/// The field of a package.
fn field(package: &Path, name: &str) -> String {
    run(Command::new("dpkg-deb").arg("-f").arg(package).arg(name)).trim().to_owned()
}

/// `libc6 (>= 2.34), …` as pairs; a version as numbers.
fn depends(text: &str) -> Vec<(String, Vec<u32>)> {
    let one = |one: &str| {
        let (name, version) = one.trim().split_once(" (>= ").unwrap_or((one.trim(), "0)"));
        let mut numbers: Vec<u32> =
            version.trim_end_matches(')').split('.').map_while(|n| n.parse().ok()).collect();
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        (name.to_owned(), numbers)
    };
    text.split(',').map(one).collect()
}

/// What Debian's own tool says that a file depends on.
fn shlibdeps(dir: &TempDir, root: &Path, lib: &Path, file: &Path) -> Vec<(String, Vec<u32>)> {
    let scratch = dir.join("shlibdeps");
    std::fs::create_dir_all(scratch.join("debian")).expect("a folder");
    std::fs::write(scratch.join("debian/control"), "Source: camrill\n\nPackage: x\nArchitecture: any\n")
        .expect("a file");
    std::fs::write(scratch.join("shlibs"), "libcamrill 0 libcamrill0\n").expect("a file");
    let mut tool = Command::new("dpkg-shlibdeps");
    tool.current_dir(&scratch)
        .args(["-O", "-Lshlibs"])
        .arg(format!("-l{}", root.join(lib).display()))
        .arg(file);
    let said = run(&mut tool);
    depends(said.trim().strip_prefix("shlibs:Depends=").expect("dependencies"))
}

#[test]
fn debian_packages_hold_what_they_are_to_and_can_be_installed() {
    let dir = TempDir::new();
    let all = debian_packages();
    let multiarch = run(Command::new("cc").arg("-print-multiarch")).trim().to_owned();
    let lib = PathBuf::from("usr/lib").join(&multiarch);
    let at = |path: String| lib.join(path).display().to_string();

    let root = dir.join("root");
    for (name, package) in PACKAGES.iter().zip(&all) {
        let alone = dir.join(name);
        run(Command::new("dpkg-deb").arg("-x").arg(package).arg(&alone));
        run(Command::new("dpkg-deb").arg("-x").arg(package).arg(&root));
        let mut expected: Vec<String> = ["changelog.Debian.gz", "changelog.gz", "copyright"]
            .map(|doc| format!("usr/share/doc/{name}/{doc}"))
            .into();
        match *name {
            "libcamrill0" => expected.extend([
                at(format!("libcamrill.so.{VERSION}")),
                at(format!("libcamrill.so.0 -> libcamrill.so.{VERSION}")),
                format!("usr/share/doc/libcamrill0/THIRD-PARTY.{multiarch}.gz"),
                format!("usr/share/doc/libcamrill0/camrill.{multiarch}.cdx.json.gz"),
            ]),
            "libcamrill-dev" => {
                expected.extend(headers("usr/include"));
                expected.extend(
                    [
                        "cmake/camrill/camrill-config-version.cmake",
                        "cmake/camrill/camrill-config.cmake",
                        "libcamrill.a",
                        "libcamrill.so -> libcamrill.so.0",
                        "pkgconfig/camrill.pc",
                    ]
                    .map(|path| at(path.to_owned())),
                );
            }
            _ => expected.extend(
                [
                    "etc/camrill/camera.conf",
                    "usr/bin/camrill-camera",
                    "usr/bin/camrill-server",
                    "usr/lib/systemd/system/camrill-server.service",
                    "usr/share/doc/camrill-server/directives.md",
                    "usr/share/man/man1/camrill-server.1.gz",
                ]
                .map(str::to_owned),
            ),
        }
        expected.sort();
        assert_eq!(without_std_notices(files(&alone)), expected);
        assert_eq!(field(package, "Version"), format!("{VERSION}-1"));
        assert_eq!(field(package, "Architecture"), architecture());
    }

    // Who needs whom, and the C library's version: as Debian's own tool has it.
    let library = shlibdeps(&dir, &root, &lib, &root.join(&lib).join(format!("libcamrill.so.{VERSION}")));
    assert_eq!(depends(&field(&all[0], "Depends")), library);
    let own = format!("libcamrill0 (= {VERSION}-1)");
    assert!(field(&all[1], "Depends").contains(&own));
    let server = field(&all[2], "Depends");
    let others = server.strip_prefix(&format!("{own}, ")).expect("the library first");
    let mut said = shlibdeps(&dir, &root, &lib, &root.join("usr/bin/camrill-server"));
    said.retain(|(name, _)| name != "libcamrill0");
    assert_eq!(depends(others), said);

    // Of use where they are unpacked.
    let libraries = root.join(&lib);
    let server = |args: &[&str]| {
        run(Command::new(root.join("usr/bin/camrill-server")).args(args).env("LD_LIBRARY_PATH", &libraries))
    };
    assert_eq!(server(&["-v"]), format!("camrill {VERSION}\n"));
    server(&["-t", "-c", &root.join("etc/camrill/camera.conf").display().to_string()]);
    let lib = format!("lib/{multiarch}");
    Tree { prefix: root.join("usr"), lib: &lib, options: vec![], sysroot: Some(&root) }.check();

    install_and_purge(&dir, &all);
}

/// Installs packages as dpkg does, into a tree with a database of its own, and removes them: a configuration that
/// was changed stays until they are purged.
fn install_and_purge(dir: &TempDir, packages: &[PathBuf]) {
    let system = dir.join("system");
    for folder in ["info", "updates", "triggers"] {
        std::fs::create_dir_all(system.join("var/lib/dpkg").join(folder)).expect("a folder");
    }
    std::fs::write(system.join("var/lib/dpkg/status"), "").expect("an empty database");
    let dpkg = |args: &[&str], packages: &[PathBuf]| {
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let mut dpkg = Command::new("fakeroot");
        dpkg.arg("dpkg").arg(format!("--root={}", system.display())).env("PATH", path);
        // There is no other package there, and no shell for the scripts.
        dpkg.args(["--force-depends", "--force-script-chrootless"]).args(args).args(packages);
        run(&mut dpkg)
    };
    dpkg(&["--install"], packages);
    let status = std::fs::read_to_string(system.join("var/lib/dpkg/status")).expect("the database");
    assert_eq!(status.matches("Status: install ok installed\n").count(), packages.len(), "{status}");
    assert_eq!(dpkg(&["--verify"], &[]), "");
    let configuration = system.join("etc/camrill/camera.conf");
    std::fs::write(&configuration, "listen 1936;\n").expect("a change");
    dpkg(&["--install"], packages);
    dpkg(&["--remove", "camrill-server", "libcamrill-dev", "libcamrill0"], &[]);
    assert_eq!(std::fs::read_to_string(&configuration).expect("it stays"), "listen 1936;\n");
    dpkg(&["--purge", "camrill-server", "libcamrill-dev", "libcamrill0"], &[]);
    let mut left = files(&system);
    left.retain(|name| !name.starts_with("var/"));
    assert_eq!(left, Vec::<String>::new());
}
