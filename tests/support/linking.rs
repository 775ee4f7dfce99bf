//! Programs that a stranger builds against an installed tree: with pkg-config and with CMake, in C and in C++, against
//! the shared library and the static one.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::Process;
use super::{TempDir, repository, target};

/// Runs a command to its end; it has to succeed. Answers what it wrote.
pub(crate) fn run(command: &mut Command) -> String {
    let out = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&out.stdout));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// `make GOAL` in a folder that has the sources, with variables; not as a part of whichever make runs the tests.
pub(crate) fn make(folder: &Path, goal: &str, variables: &[String]) {
    let mut make = Command::new("make");
    make.args(["--no-print-directory", goal]).args(variables).current_dir(folder);
    make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL").env("CARGO_TARGET_DIR", target());
    run(&mut make);
}

/// Every file and link below a folder, with where links lead.
pub(crate) fn files(root: &Path) -> Vec<String> {
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

/// The names of the headers, wherever they are installed.
pub(crate) fn headers(folder: &str) -> Vec<String> {
    files(&repository("include")).iter().map(|name| format!("{folder}/{name}")).collect()
}

/// An installed tree that programs are to be built against.
pub(crate) struct Tree<'a> {
    /// What CMake is to search: the folder with `include` and the like.
    pub(crate) prefix: PathBuf,
    /// The folder of the libraries, from there.
    pub(crate) lib: &'a str,
    /// What pkg-config is to be told: its options.
    pub(crate) options: Vec<String>,
    /// Its `PKG_CONFIG_SYSROOT_DIR`.
    pub(crate) sysroot: Option<&'a Path>,
}

impl Tree<'_> {
    pub(crate) fn pkg_config(&self, args: &[&str]) -> Vec<String> {
        let mut command = Command::new("pkg-config");
        command.args(&self.options).args(args).arg("camrill");
        command.env("PKG_CONFIG_LIBDIR", self.libraries().join("pkgconfig"));
        command.env("PKG_CONFIG_ALLOW_SYSTEM_CFLAGS", "1").env("PKG_CONFIG_ALLOW_SYSTEM_LIBS", "1");
        if let Some(sysroot) = self.sysroot {
            command.env("PKG_CONFIG_SYSROOT_DIR", sysroot);
        }
        run(&mut command).split_whitespace().map(str::to_owned).collect()
    }

    fn libraries(&self) -> PathBuf {
        self.prefix.join(self.lib)
    }

    /// Builds the smallest server in each way, and sees each of them listen.
    pub(crate) fn check(&self) {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(self.pkg_config(&["--modversion"]), [version]);
        let shared = self.pkg_config(&["--cflags", "--libs"]);
        // pkg-config has no word for "the archive of it": that one is named.
        let mut archive = self.pkg_config(&["--cflags", "--libs", "--static"]);
        for flag in archive.iter_mut().filter(|flag| *flag == "-lcamrill") {
            *flag = "-l:libcamrill.a".to_owned();
        }
        for compiler in [&["cc", "-std=c99"], &["c++", "-xc++"]] {
            self.compile(compiler, &shared, false);
            self.compile(compiler, &archive, true);
        }
        // Nothing but the C library is left to be found when it runs.
        archive.push("-static-libgcc".to_owned());
        self.compile(&["cc", "-std=c99"], &archive, true);
        self.cmake();
    }

    fn compile(&self, compiler: &[&str], flags: &[String], is_static: bool) {
        let dir = TempDir::new();
        let program = dir.join("server");
        let mut compile = Command::new(compiler[0]);
        compile.args(&compiler[1..]).args(["-Wall", "-Werror", "-o"]).arg(&program);
        compile.arg(repository("examples-c/smallest-server.c"));
        // What a language is said for is also what follows.
        compile.args(compiler[1].starts_with("-x").then_some("-xnone")).args(flags);
        run(&mut compile);
        self.serves(&program, is_static);
    }

    /// What CMake is told stands in tests/data/cmake.
    fn cmake(&self) {
        let dir = TempDir::new();
        let build = dir.join("build");
        let mut configure = Command::new("cmake");
        configure.arg("-S").arg(repository("tests/data/cmake")).arg("-B").arg(&build);
        configure.arg(format!("-DCMAKE_PREFIX_PATH={}", self.prefix.display()));
        configure.arg(format!("-DSERVER={}", repository("examples-c/smallest-server.c").display()));
        run(&mut configure);
        run(Command::new("cmake").arg("--build").arg(&build));
        for (program, is_static) in [
            ("c-default", false),
            ("c-shared", false),
            ("c-static", true),
            ("cxx-shared", false),
            ("cxx-static", true),
            ("by-variable/by-variable", true),
            ("by-component/by-component", true),
        ] {
            self.serves(&build.join(program), is_static);
        }
    }

    fn serves(&self, program: &Path, is_static: bool) {
        let needed = run(Command::new("readelf").arg("-dW").arg(program));
        assert_eq!(needed.contains("libcamrill.so.0"), !is_static, "{}: {needed}", program.display());
        let mut server = Command::new(program);
        server.arg("127.0.0.1:0");
        if !is_static {
            server.env("LD_LIBRARY_PATH", self.libraries());
        }
        let server = Process::start(&mut server);
        server.wait_log(1, "rtmp listening on 127.0.0.1:");
    }
}
