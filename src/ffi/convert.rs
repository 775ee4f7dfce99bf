//! Casts between C and Rust, in one place.

use std::ffi::{CStr, CString, c_char};
use std::mem::{MaybeUninit, size_of};

use super::programs::camrill_program_info_t;
use super::types::*;
use crate::error::{Code, Error, Result};

/// A struct that begins with `uint32_t struct_size`, for which all zero is a value.
///
/// # Safety
/// `repr(C)`, the first field is `struct_size: u32`, and every field may be all zero.
pub(super) unsafe trait Sized32: Sized {
    /// What it is called in errors.
    const NAME: &'static str;
}

macro_rules! sized32 {
    ($($t:ident),*) => {$(
        // SAFETY: repr(C), struct_size first; integers, pointers and Option<fn> may all be zero.
        unsafe impl $crate::ffi::convert::Sized32 for $t {
            const NAME: &'static str = stringify!($t);
        }
    )*};
}
pub(super) use sized32;

sized32!(
    camrill_engine_config_t,
    camrill_publisher_config_t,
    camrill_frame_t,
    camrill_http_mount_t,
    camrill_http_request_t,
    camrill_stats_t,
    camrill_stream_info_t,
    camrill_client_info_t,
    camrill_program_info_t,
    camrill_publisher_stats_t
);

/// The bytes of a struct that both sides know.
fn known<T: Sized32>(struct_size: u32) -> Result<usize> {
    let size = struct_size as usize;
    if size < size_of::<u32>() {
        let message = format!("{}: struct_size is {size}; use its _INIT macro or sizeof", T::NAME);
        return Err(Error::new(Code::InvalidArgument, message));
    }
    Ok(size.min(size_of::<T>()))
}

/// Reads an input struct: what the caller's is shorter by is zero.
///
/// # Safety
/// `input` is NULL or points to as many readable bytes as its `struct_size` says.
pub(super) unsafe fn read<T: Sized32>(input: *const T) -> Result<T> {
    if input.is_null() {
        return Err(Error::new(Code::InvalidArgument, format!("{} is NULL", T::NAME)));
    }
    // SAFETY: the caller's struct begins with a u32, and C gives it its alignment.
    let struct_size = unsafe { input.cast::<u32>().read_unaligned() };
    let size = known::<T>(struct_size)?;
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: `size` is within both structs; all zero is a value of T by Sized32's contract.
    unsafe {
        std::ptr::copy_nonoverlapping(input.cast::<u8>(), value.as_mut_ptr().cast::<u8>(), size);
        Ok(value.assume_init())
    }
}

/// Writes an output struct: as much of it as the caller's holds. Its `struct_size` stays the caller's.
///
/// # Safety
/// `output` is NULL or points to as many writable bytes as its `struct_size` says.
pub(super) unsafe fn write<T: Sized32>(output: *mut T, value: &T) -> Result<()> {
    if output.is_null() {
        return Err(Error::new(Code::InvalidArgument, format!("{} is NULL", T::NAME)));
    }
    // SAFETY: as in `read`.
    let struct_size = unsafe { output.cast::<u32>().read_unaligned() };
    let size = known::<T>(struct_size)?;
    let skip = size_of::<u32>();
    // SAFETY: `size` is within both structs, and at least `skip`.
    unsafe {
        let from = (value as *const T).cast::<u8>().add(skip);
        std::ptr::copy_nonoverlapping(from, output.cast::<u8>().add(skip), size - skip);
    }
    Ok(())
}

/// A string argument.
///
/// # Safety
/// `text` is NULL or points to a string that ends in NUL and outlives the result.
pub(super) unsafe fn text<'a>(text: *const c_char, what: &str) -> Result<&'a str> {
    if text.is_null() {
        return Err(Error::new(Code::InvalidArgument, format!("{what} is NULL")));
    }
    // SAFETY: the caller's contract.
    let bytes = unsafe { CStr::from_ptr(text) };
    bytes.to_str().map_err(|_| Error::new(Code::InvalidArgument, format!("{what} is not UTF-8")))
}

/// A string argument for which NULL means empty.
///
/// # Safety
/// As for [`text`].
pub(super) unsafe fn optional_text<'a>(pointer: *const c_char, what: &str) -> Result<&'a str> {
    if pointer.is_null() {
        return Ok("");
    }
    // SAFETY: the caller's contract.
    unsafe { text(pointer, what) }
}

/// Writes `text` and a NUL to the caller's buffer; answers its length without the NUL.
///
/// # Safety
/// `buffer` is NULL or points to `size` writable bytes.
pub(super) unsafe fn put_text(text: &str, buffer: *mut c_char, size: usize) -> Result<i32> {
    let length = i32::try_from(text.len()).map_err(|_| Error::new(Code::Limit, "the text is too long"))?;
    if buffer.is_null() && size > 0 {
        return Err(Error::new(Code::InvalidArgument, "buffer is NULL"));
    }
    if size == 0 {
        return Ok(length);
    }
    if text.len() >= size {
        let message = format!("the buffer of {size} bytes is too small for {} and a NUL", text.len());
        return Err(Error::new(Code::Buffer, message));
    }
    // SAFETY: `text.len() + 1 <= size`.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast::<u8>(), text.len());
        buffer.add(text.len()).write(0);
    }
    Ok(length)
}

/// A fixed array with as much of `text` as fits, and a NUL.
pub(super) fn array<const N: usize>(text: &str) -> [c_char; N] {
    let mut out = [0 as c_char; N];
    let mut end = text.len().min(N.saturating_sub(1));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    for (to, from) in out.iter_mut().zip(text.as_bytes().iter().take(end)) {
        *to = *from as c_char;
    }
    out
}

/// A C string; a NUL inside, which no name of ours can hold, ends it.
pub(super) fn c_string(text: &str) -> CString {
    let end = text.bytes().position(|b| b == 0).unwrap_or(text.len());
    CString::new(text.get(..end).unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_struct_of_an_older_header_is_read_and_written() {
        let mut stats = camrill_stats_t { struct_size: 12, players: 7, ..zeroed() };
        stats.connections = 3;
        stats.streams = 4;
        // SAFETY: struct_size is shorter than the struct.
        let read = unsafe { read(&stats) }.unwrap();
        assert_eq!((read.connections, read.streams, read.players), (3, 4, 0));
        let new = camrill_stats_t { connections: 30, streams: 40, players: 50, ..zeroed() };
        // SAFETY: as above.
        unsafe { write(&mut stats, &new) }.unwrap();
        assert_eq!((stats.struct_size, stats.connections, stats.streams, stats.players), (12, 30, 40, 7));
        stats.struct_size = 0;
        // SAFETY: as above.
        assert_eq!(unsafe { write(&mut stats, &new) }.unwrap_err().code(), Code::InvalidArgument);
    }

    #[test]
    fn arrays_cut_at_characters() {
        let cut: [c_char; 4] = array("aéé");
        assert_eq!(cut.map(|c| c as u8), [b'a', 0xc3, 0xa9, 0]);
        assert_eq!(array::<4>("ab").map(|c| c as u8), [b'a', b'b', 0, 0]);
    }

    fn zeroed() -> camrill_stats_t {
        // SAFETY: Sized32's contract.
        unsafe { MaybeUninit::zeroed().assume_init() }
    }
}
