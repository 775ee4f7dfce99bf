//! The packages for other languages, each by its own test runner, on the library as it is installed; and their
//! examples, as a user starts them.

mod support;

use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use support::clients::{self, Kind, Player};
use support::process::Process;
use support::{PATIENCE, TempDir, free_port, repository, target};

/// Where the library is installed, in a tree of its own.
fn installed() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let root = target().join("bindings");
        let mut make = Command::new("make");
        make.args(["--no-print-directory", "install"]).arg(format!("PREFIX={}", root.display()));
        make.current_dir(repository("")).env("CARGO_TARGET_DIR", target());
        // Not a part of whichever make runs the tests.
        succeeds(make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL"));
        root.join("lib")
    })
}

/// A program in a folder of `cbindings`, which finds the library as its language does.
fn command(program: &str, folder: &str) -> Command {
    let lib = installed();
    let mut command = Command::new(program);
    command.current_dir(repository("cbindings").join(folder));
    command.env("LD_LIBRARY_PATH", lib);
    command.env("PKG_CONFIG_PATH", lib.join("pkgconfig"));
    command.env("CAMRILL_LIBRARY", lib.join("libcamrill.so.0"));
    command.env("NODE_PATH", repository("tests/.tools/node/node_modules"));
    command.env("PYTHONPATH", repository("cbindings/python")).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("GOPROXY", "off").env("GOCACHE", target().join("go"));
    // Go's cache doesn't see that a C library has changed or lies elsewhere; it does see these flags.
    let mut state = DefaultHasher::new();
    (lib, std::fs::read(repository("include/camrill.h")).expect("the header")).hash(&mut state);
    command.env("CGO_CFLAGS", format!("-g -O2 -DCAMRILL_HASH={}", state.finish()));
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn succeeds(command: &mut Command) -> Output {
    let out = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(out.status.success(), "{command:?}: {}\n{}{}", out.status, text(&out.stdout), text(&out.stderr));
    out
}

/// A test runner, which must not take longer than this: what hangs is ended.
fn runs(command: &mut Command) -> String {
    let mut limited = Command::new("timeout");
    limited.args(["-k", "5", "180"]).arg(command.get_program()).args(command.get_args());
    limited.current_dir(command.get_current_dir().expect("a folder"));
    for (name, value) in command.get_envs() {
        limited.env(name, value.expect("nothing is taken away"));
    }
    let out = succeeds(&mut limited);
    let said = text(&out.stdout) + &text(&out.stderr);
    println!("{said}");
    said
}

#[test]
fn what_is_generated_is_fresh() {
    succeeds(Command::new("python3").arg(repository("cbindings/generate.py")).arg("--check"));
}

/// The C++ of the page of languages compiles as it stands there.
#[test]
fn what_the_page_says_compiles() {
    let page = std::fs::read_to_string(repository("docs/languages.md")).expect("the page");
    let code = page.split("```cpp\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let dir = TempDir::new();
    let source = dir.join("page.cpp");
    std::fs::write(&source, code).expect("a file");
    for compiler in ["g++", "clang++"] {
        let mut command = Command::new(compiler);
        command.args([
            "-std=c++11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wshadow",
            "-pedantic",
            "-fsyntax-only",
            "-I",
        ]);
        succeeds(command.arg(repository("include")).arg(&source));
    }
}

#[test]
fn versions_agree() {
    let version = env!("CARGO_PKG_VERSION");
    for (file, line) in [
        ("python/pyproject.toml", format!("version = \"{version}\"")),
        ("node/package.json", format!("\"version\": \"{version}\"")),
    ] {
        let text = std::fs::read_to_string(repository("cbindings").join(file)).expect(file);
        assert!(text.contains(&line), "{file} has no {line}");
    }
}

#[test]
fn python_works() {
    let said = runs(command("python3", "python").args(["-m", "unittest", "discover", "-s", "tests"]));
    assert!(said.contains("\nOK\n"), "{said}");
}

#[test]
fn python_is_typed() {
    let mypy = repository("tests/.tools/python-checks");
    let check = |files: &[&str]| {
        let mut command = command("python3", "python");
        command.args(["-m", "mypy", "--strict", "--cache-dir"]).arg(target().join("mypy")).args(files);
        command.env("PYTHONPATH", &mypy).env("MYPYPATH", repository("cbindings/python"));
        let said = runs(&mut command);
        assert!(said.contains("no issues found"), "{said}");
    };
    check(&["camrill"]);
    check(&["examples/flv.py", "examples/publish.py", "examples/play.py", "examples/serve.py"]);
}

/// As `pip install ./cbindings/python` does it, but that nothing is fetched.
#[test]
fn python_is_installed_by_pip() {
    let dir = TempDir::new();
    let (source, to) = (dir.join("source"), dir.join("to"));
    // pip builds where the package lies, and leaves things there.
    succeeds(Command::new("cp").arg("-r").arg(repository("cbindings/python")).arg(&source));
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]);
    pip.env("PYTHONPATH", repository("tests/.tools/python-checks"));
    succeeds(pip.arg("--root-user-action=ignore").arg("--target").arg(&to).arg(&source));
    let mut python = command("python3", "python/tests");
    let said = succeeds(
        python
            .env("PYTHONPATH", &to)
            .args(["-c", "import camrill; print(camrill.version(), camrill.__file__)"]),
    );
    let said = text(&said.stdout);
    assert!(said.starts_with(env!("CARGO_PKG_VERSION")) && said.contains("/to/camrill/"), "{said}");
    assert!(to.join("camrill/py.typed").exists());
}

#[test]
fn go_works() {
    let said = text(&succeeds(command("gofmt", "go").args(["-l", "."])).stdout);
    assert_eq!(said, "", "gofmt would change these");
    runs(command("go", "go").args(["vet", "./..."]));
    let said = runs(command("go", "go").args(["test", "-count=1", "./..."]));
    assert!(said.contains("ok  \tcamrill"), "{said}");
}

#[test]
fn node_works() {
    let said = runs(command("node", "node").args(["--expose-gc", "--test", "test/"]));
    assert!(said.contains("# fail 0") && !said.contains("# pass 0"), "{said}");
}

/// An example's program in each language, ready to be given arguments.
fn examples(name: &str) -> [Command; 3] {
    let mut python = command("python3", "python/examples");
    python.arg(format!("{name}.py")).env("PYTHONUNBUFFERED", "1");
    let program = target().join("go-examples").join(name);
    succeeds(command("go", "go").args(["build", "-o"]).arg(&program).arg(format!("./examples/{name}")));
    let go = command(program.to_str().expect("a path"), "go");
    let mut node = command("node", "node/examples");
    node.arg(format!("{name}.js"));
    [python, go, node]
}

/// A command whose standard output joins its log.
fn logged(command: &Command) -> Command {
    let mut logged = Command::new("sh");
    logged.args(["-c", "exec \"$0\" \"$@\" >&2"]).arg(command.get_program()).args(command.get_args());
    logged.current_dir(command.get_current_dir().expect("a folder"));
    for (name, value) in command.get_envs() {
        logged.env(name, value.map_or_else(OsString::new, OsString::from));
    }
    logged
}

fn clip(dir: &TempDir) -> PathBuf {
    std::fs::canonicalize(clients::cut(dir, 0, 4)).expect("the clip")
}

/// What each language publishes comes to the others' players, picture for picture, and is served by the third.
#[test]
fn examples_publish_play_and_serve() {
    let dir = TempDir::new();
    let clip = clip(&dir);
    let config = dir.join("serve.conf");
    std::fs::write(&config, "listen 127.0.0.1:0;").expect("a file");
    let expected = elementary(&clip);
    for ((mut serve, publish), mut play) in
        examples("serve").into_iter().zip(examples("publish")).zip(examples("play"))
    {
        // Served: a clip that ffmpeg publishes, played by rtmpdump.
        let mut server = Process::start(&mut logged(serve.arg(&config)));
        let line = server.wait_log(1, "RTMP at port ");
        let port = line.rsplit(' ').next().expect("a port");
        let url = format!("rtmp://127.0.0.1:{port}/live/test");
        let player = Player::start(Kind::Rtmpdump, &url);
        // EVENT_PLAY.
        server.wait_log(1, "5 live test");
        clients::publish(clients::ffmpeg(), &clip, &url).finish();
        player.expect(&support::flv::read(&clip));
        server.terminate();
        let status = server.wait_end(PATIENCE).expect("it stops");
        assert!(status.success(), "{serve:?}: {status}");

        // Played: the file, to its last picture.
        let out = dir.join("out.h264");
        let mut player = Process::start(&mut logged(play.arg(&clip).arg(&out)));
        player.wait_log(1, "100 pictures, ");
        assert!(player.wait_end(PATIENCE).is_some_and(|status| status.success()));
        assert_eq!(elementary(&out), expected, "{play:?}");

        // Published, in real time.
        let mut publish = publish;
        let port = free_port();
        let mut publisher = Process::start(&mut logged(publish.arg(&clip).arg(format!("127.0.0.1:{port}"))));
        publisher.wait_log(1, "rtmp listening on");
        let url = format!("rtmp://127.0.0.1:{port}/live/camera");
        let player = Player::start(Kind::Rtmpdump, &url);
        let sent = support::flv::frames(&support::flv::read(&clip));
        let last = sent.last().expect("frames").clone();
        let came = player.wait("the last frame", |tags| tags.contains(&last));
        support::flv::assert_part(&support::flv::frames(&came), &sent);
        assert!(publisher.wait_end(PATIENCE).is_some_and(|status| status.success()));
    }
}

/// The hash of each picture's bytes, as ffmpeg sees them.
fn elementary(file: &Path) -> String {
    let mut ffmpeg = clients::ffmpeg();
    ffmpeg.arg("-i").arg(file).args(["-map", "0:v", "-f", "framehash", "-hash", "md5", "-"]);
    let out = succeeds(&mut ffmpeg);
    let lines = text(&out.stdout);
    // The time base is another.
    let hashes: Vec<&str> = lines
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit(", ").next())
        .collect();
    assert_eq!(hashes.len(), 100);
    hashes.join("\n")
}
