//! G.711 (ITU-T G.711): a byte a sample, by A-law or µ-law, and the 16-bit linear samples that it stands for.

/// Samples per second: the one rate that G.711 has.
pub const RATE: u32 = 8000;

/// The sign bit of a code: set for what is not negative, once [`ALAW_TOGGLED`] or the complement is undone.
const SIGN: u8 = 0x80;
/// Even bits are inverted on the line (G.711, 3.2, note 2 to table 1a).
const ALAW_TOGGLED: u8 = 0x55;
/// What µ-law adds before it looks for the segment, in 16 bits.
const ULAW_BIAS: i16 = 0x84;

/// The linear sample of an A-law code, its 13 bits in the upper ones of 16: a multiple of 8.
pub const fn alaw(code: u8) -> i16 {
    let code = code ^ ALAW_TOGGLED;
    let (segment, step) = (code >> 4 & 7, ((code & 0x0f) as i16) << 4);
    // At most 0x1f8 << 6: nothing is shifted out.
    let magnitude = if segment == 0 { step | 0x08 } else { (step | 0x108) << (segment - 1) };
    if code & SIGN != 0 { magnitude } else { -magnitude }
}

/// The linear sample of a µ-law code, its 14 bits in the upper ones of 16: a multiple of 4.
pub const fn ulaw(code: u8) -> i16 {
    let code = !code;
    let (segment, step) = (code >> 4 & 7, ((code & 0x0f) as i16) << 3);
    // At most 0xfc << 7, less the bias.
    let magnitude = ((step + ULAW_BIAS) << segment) - ULAW_BIAS;
    if code & SIGN != 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    /// Values of tables 1a to 2b of G.711, those of A-law times 8 and those of µ-law times 4.
    #[test]
    fn decoder_output_values() {
        for (character, value) in [(0x80, 1), (0x81, 3), (0x8f, 31), (0x90, 33), (0xa0, 66), (0xff, 4032)] {
            assert_eq!(alaw(character ^ 0x55), value * 8);
            assert_eq!(alaw(character ^ 0x80 ^ 0x55), -value * 8);
        }
        for (character, value) in [(0xff, 0), (0xfe, 2), (0xf0, 30), (0xef, 33), (0x8f, 4191), (0x80, 8031)] {
            assert_eq!(ulaw(character), value * 4);
            assert_eq!(ulaw(character & 0x7f), -value * 4);
        }
    }

    #[test]
    fn another_decoder_says_the_same_of_every_code() {
        for (format, decode) in [("alaw", alaw as fn(u8) -> i16), ("mulaw", ulaw)] {
            let mut child = Command::new("ffmpeg")
                .args(["-v", "error", "-f", format, "-ar", "8000", "-i", "-", "-f", "s16le", "-"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("ffmpeg; `make test` installs what the tests use");
            let codes: Vec<u8> = (0..=255).collect();
            child
                .stdin
                .take()
                .expect("a pipe was asked for")
                .write_all(&codes)
                .expect("a decoder that reads");
            let said = child.wait_with_output().expect("a decoder that ends").stdout;
            let mine: Vec<u8> = codes.iter().flat_map(|code| decode(*code).to_le_bytes()).collect();
            assert_eq!(said, mine, "{format}");
        }
    }
}
