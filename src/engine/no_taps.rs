//! Without HLS and recordings nothing reads a stream but its players.

use super::Engine;
use crate::time::Time;

impl Engine {
    pub(super) fn begin_taps(&mut self, _now: Time, _id: u32) {}

    pub(super) fn end_taps(&mut self, _now: Time, _id: u32) {}

    pub(super) fn run_taps(&mut self, _now: Time, _id: u32) {}

    pub(super) fn configure_taps(&mut self, _now: Time) {}
}
