//! Parameter sets and framing of the codecs that the library understands. Slices in, values out.
