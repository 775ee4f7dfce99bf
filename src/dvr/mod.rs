//! Recording: frames in, files to write out, as FLV or MP4.
