//! Fragmented MP4 (ISO/IEC 14496-12): frames in, init segments and fragments out.
