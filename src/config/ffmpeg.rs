//! The command line of an FFmpeg that is to run beside the server, from the block that describes it.

use super::block::Block;
use super::tree::Node;
use crate::error::Result;

/// One run of FFmpeg.
pub(super) struct Command<'a> {
    /// The program's path, or its name.
    pub(super) program: &'a str,
    /// How much it logs, in its own words; empty for its default.
    pub(super) log_level: &'a str,
    /// The `engine` block.
    pub(super) engine: &'a Block<'a>,
    /// What it reads: a path or a URL.
    pub(super) input: &'a str,
    /// Whether that is read at its own pace: else a file would be over in a moment.
    pub(super) paced: bool,
    /// Where it writes to.
    pub(super) output: &'a str,
}

/// Whether an `engine` block asks for more than to be copied as it is.
pub(super) fn transcodes(engine: &Block<'_>) -> Result<bool> {
    let is_plain = |node: &Node| match node.name.as_str() {
        "enabled" | "output" | "iformat" | "oformat" => true,
        "vcodec" | "acodec" => matches!(node.arg(), "" | "copy"),
        _ => node.block && node.children.is_empty(),
    };
    Ok(engine.switch("enabled")? && !engine.nodes.iter().all(is_plain))
}

impl Command<'_> {
    /// The program and its arguments, the output last. An engine that is turned off copies.
    pub(super) fn argv(&self) -> Result<Vec<String>> {
        let on = self.engine.switch("enabled")?;
        let mut argv = Argv(vec![self.program.into()]);
        if !self.log_level.is_empty() {
            argv.option("-loglevel", self.log_level);
        }
        // Two lines a second for as long as it runs would fill the disk that its log is on.
        argv.flag("-nostats");
        if on {
            argv.block(self.engine, "perfile");
        }
        if self.paced {
            argv.flag("-re");
        }
        // FLV, the default, is RTMP's; what else there is FFmpeg sees for itself.
        let iformat = self.engine.text("iformat")?;
        if on && iformat != "off" && (iformat != "flv" || self.input.starts_with("rtmp://")) {
            argv.option("-f", &iformat);
        }
        argv.option("-i", self.input);
        if on {
            argv.block(self.engine, "vfilter");
            argv.video(self.engine)?;
            argv.audio(self.engine)?;
        } else {
            argv.option("-vcodec", "copy");
            argv.option("-acodec", "copy");
        }
        let oformat = self.engine.text("oformat")?;
        if oformat != "off" {
            argv.option("-f", &oformat);
        }
        argv.option("-y", self.output);
        Ok(argv.0)
    }
}

struct Argv(Vec<String>);

impl Argv {
    fn flag(&mut self, name: &str) {
        self.0.push(name.into());
    }

    fn option(&mut self, name: &str, value: &str) {
        self.0.extend([name.into(), value.into()]);
    }

    /// What a block of anything says: each word with a dash before it, and its values.
    fn block(&mut self, engine: &Block<'_>, name: &str) {
        let blocks = engine.nodes.iter().filter(|n| n.block && n.name == name).take(1);
        for node in blocks.flat_map(|block| &block.children) {
            self.0.push(format!("-{}", node.name));
            self.0.extend(node.args.iter().filter(|word| !word.is_empty()).cloned());
        }
    }

    fn video(&mut self, engine: &Block<'_>) -> Result<()> {
        let codec = engine.text("vcodec")?;
        match codec.as_str() {
            "vn" => {
                self.flag("-vn");
                return Ok(());
            }
            "" | "copy" => {
                self.option("-vcodec", "copy");
                return Ok(());
            }
            codec => self.option("-vcodec", codec),
        }
        self.number(engine, "vbitrate", |kbit| ["-b:v".into(), (kbit * 1000).to_string()])?;
        if engine.find("vfps").is_some() {
            let fps = engine.fraction("vfps")?;
            if fps > 0.0 {
                self.option("-r", &fps.to_string());
            }
        }
        let (width, height) = (number(engine, "vwidth")?, number(engine, "vheight")?);
        // Encoders halve the chroma's size.
        let (width, height) = (width & !1, height & !1);
        if width > 0 && height > 0 {
            self.option("-s", &format!("{width}x{height}"));
            self.option("-aspect", &format!("{width}:{height}"));
        }
        self.number(engine, "vthreads", |n| ["-threads".into(), n.to_string()])?;
        self.text(engine, "vprofile", "-profile:v")?;
        self.text(engine, "vpreset", "-preset")?;
        self.block(engine, "vparams");
        Ok(())
    }

    fn audio(&mut self, engine: &Block<'_>) -> Result<()> {
        let codec = engine.text("acodec")?;
        match codec.as_str() {
            "an" => self.flag("-an"),
            "" | "copy" => self.option("-acodec", "copy"),
            codec => {
                self.option("-acodec", codec);
                self.number(engine, "abitrate", |kbit| ["-b:a".into(), (kbit * 1000).to_string()])?;
                self.number(engine, "asample_rate", |hz| ["-ar".into(), hz.to_string()])?;
                self.number(engine, "achannels", |n| ["-ac".into(), n.to_string()])?;
                self.block(engine, "aparams");
            }
        }
        Ok(())
    }

    fn number(&mut self, engine: &Block<'_>, name: &str, say: impl Fn(u64) -> [String; 2]) -> Result<()> {
        let number = number(engine, name)?;
        if number > 0 {
            self.0.extend(say(number));
        }
        Ok(())
    }

    fn text(&mut self, engine: &Block<'_>, name: &str, option: &str) -> Result<()> {
        let text = engine.text(name)?;
        if !text.is_empty() {
            self.option(option, &text);
        }
        Ok(())
    }
}

/// A number, 0 where none is given. The rows allow 31 bits: a thousandfold of it is within these.
fn number(engine: &Block<'_>, name: &str) -> Result<u64> {
    if engine.find(name).is_none() { Ok(0) } else { engine.number(name) }
}
