//! MPEG transport streams (ISO/IEC 13818-1): frames in, packets out.
