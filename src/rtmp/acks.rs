//! What has come from a peer, and when that is acknowledged (RTMP 1.0, 5.4.3).

/// Counts bytes that come.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// All bytes that have come; what is sent of it wraps at 32 bits.
    pub(super) received: u64,
    pub(super) acknowledged: u64,
    window: u32,
    /// A window of our own stands above what the peer asks.
    fixed: bool,
}

impl Acks {
    /// `taken` bytes more have come.
    pub(super) fn count(&mut self, taken: usize) {
        self.received = self.received.wrapping_add(taken as u64);
    }

    /// The peer asks for an acknowledgement before `window` bytes more have come.
    pub(super) fn ask(&mut self, window: u32) {
        if !self.fixed {
            self.window = window;
        }
    }

    /// Acknowledges after `window` bytes, whatever the peer asks.
    pub(super) fn fix(&mut self, window: u32) {
        self.window = window;
        self.fixed = true;
    }

    /// The total to acknowledge, if it is time: before the window is full, at half of it.
    pub(super) fn due(&mut self) -> Option<u32> {
        let window = u64::from(self.window);
        if window == 0 || self.received.wrapping_sub(self.acknowledged) < window.div_ceil(2) {
            return None;
        }
        self.acknowledged = self.received;
        // The total, at 32 bits, wraps.
        Some(self.received as u32)
    }
}
