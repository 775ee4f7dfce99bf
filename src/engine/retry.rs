//! When what has failed is tried again: one policy for everything that connects to others.

use std::time::Duration;

use crate::time::Time;

/// How often, and for how long, something that needs another server is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The wait after the first failure. Each one after it is twice as long as the last, and all differ by up
    /// to a quarter, so that many don't come back at once.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// Failures in a row after which it gives up; 0: it never does.
    pub tries: u32,
    /// How long it may take from the first packet until media may flow.
    pub connect: Duration,
    /// How long the other may bring nothing, or take nothing.
    pub stall: Duration,
    /// How long it has to go well until earlier failures no longer count.
    pub stable: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(10),
            tries: 0,
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(10),
            stable: Duration::from_secs(10),
        }
    }
}

impl RetryPolicy {
    /// The policy after a failure: one that no soon try will help is followed by the longest wait.
    pub(super) fn after(self, is_hopeless: bool) -> Self {
        Self { first: if is_hopeless { self.longest } else { self.first }, ..self }
    }
}

/// Where something stands with its policy.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Retry {
    failures: u32,
    up: Option<Time>,
}

impl Retry {
    /// It goes well from now on.
    pub(super) fn up(&mut self, now: Time) {
        self.up = Some(now);
    }

    /// Since when it has gone well, if it did when this was last looked at.
    pub(super) fn since(&self) -> Option<Time> {
        self.up
    }

    /// Failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// It has failed: when it is tried again, if it is. `entropy` makes the wait differ from others'.
    pub(super) fn failed(&mut self, now: Time, policy: &RetryPolicy, entropy: u64) -> Option<Time> {
        if self.up.take().is_some_and(|since| now.since(since) >= policy.stable) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        if policy.tries != 0 && self.failures >= policy.tries {
            return None;
        }
        let doublings = self.failures.saturating_sub(1).min(16);
        let wait = policy.first.saturating_mul(1 << doublings).min(policy.longest);
        // From three quarters to five.
        let quarters = 768_u32.saturating_add((entropy % 512) as u32);
        Some(now + wait.saturating_mul(quarters) / 1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_differ_by_a_quarter() {
        let policy = RetryPolicy::default();
        for entropy in [0, 255, 256, 511, u64::MAX] {
            let mut retry = Retry::default();
            for expected in [500, 1000, 2000, 4000, 8000, 10_000, 10_000] {
                let at = retry.failed(Time::ZERO, &policy, entropy).unwrap().as_millis();
                assert!((expected * 3 / 4..=expected * 5 / 4).contains(&at), "{at} for {expected}");
            }
        }
    }

    #[test]
    fn only_what_went_well_for_long_enough_makes_failures_forgotten() {
        let policy = RetryPolicy::default();
        let mut retry = Retry::default();
        let fail = |retry: &mut Retry, at: Time| {
            let next = retry.failed(at, &policy, 256).unwrap();
            next.since(at).as_millis()
        };
        assert_eq!(fail(&mut retry, Time::ZERO), 500);
        retry.up(Time::from_millis(1000));
        assert_eq!(fail(&mut retry, Time::from_millis(10_999)), 1000);
        retry.up(Time::from_millis(20_000));
        assert_eq!(fail(&mut retry, Time::from_millis(30_000)), 500);
    }

    #[test]
    fn gives_up_where_it_is_told_to() {
        let policy = RetryPolicy { tries: 2, ..RetryPolicy::default() };
        let mut retry = Retry::default();
        assert!(retry.failed(Time::ZERO, &policy, 0).is_some());
        assert_eq!(retry.failed(Time::ZERO, &policy, 0), None);
    }
}
