//! What a server says of itself in its answer to `connect`.

use super::text;
use crate::amf::Value;
use crate::wire::limits::RTMP_FOURCCS;

/// The capabilities that a server names (Enhanced RTMP v2, "Enhancing NetConnection connect").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// `fmsVer`: the server's name and version.
    pub version: String,
    /// Whether it says anything of Enhanced RTMP.
    pub enhanced: bool,
    /// The FourCCs that it knows, `[b'*'; 4]` for all of them.
    pub fourccs: Vec<[u8; 4]>,
    /// `capsEx`: 1 reconnects, 2 several tracks, 4 modifiers, 8 nanoseconds.
    pub caps_ex: u32,
}

/// The FourCC that stands for all.
const ANY: [u8; 4] = [b'*'; 4];

impl Capabilities {
    /// Whether the server knows a FourCC.
    pub fn knows(&self, fourcc: [u8; 4]) -> bool {
        self.fourccs.contains(&fourcc) || self.fourccs.contains(&ANY)
    }

    /// From the objects of a `_result`: which of them holds what is up to the server.
    pub(super) fn from_objects(objects: &[Value]) -> Self {
        let mut found = Self::default();
        for (name, value) in objects.iter().filter_map(Value::properties).flatten() {
            match (name.as_str(), value) {
                ("fmsVer", Value::String(version)) => found.version = text(version),
                ("capsEx", Value::Number(flags)) => {
                    found.enhanced = true;
                    found.caps_ex = *flags as u32;
                }
                ("fourCcList", Value::StrictArray(names)) => {
                    found.enhanced = true;
                    names.iter().filter_map(Value::as_str).for_each(|name| found.add(name));
                }
                ("videoFourCcInfoMap" | "audioFourCcInfoMap", map) => {
                    found.enhanced = true;
                    for (name, flags) in map.properties().unwrap_or_default() {
                        if flags.as_f64().is_some_and(|flags| flags as u32 != 0) {
                            found.add(name);
                        }
                    }
                }
                _ => {}
            }
        }
        found
    }

    fn add(&mut self, name: &str) {
        let fourcc = if name == "*" { Some(ANY) } else { name.as_bytes().try_into().ok() };
        if let Some(fourcc) = fourcc
            && self.fourccs.len() < RTMP_FOURCCS
            && !self.fourccs.contains(&fourcc)
        {
            self.fourccs.push(fourcc);
        }
    }
}
