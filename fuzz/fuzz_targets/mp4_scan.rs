//! MP4 files read back: any bytes are a file, cut off or broken. What is found stands within it, a file that
//! is cut after a fragment has the same ones, and a file without fragments can be made of them.

#![no_main]

use camrill::fmp4::{Found, Fragment, Init, Plain, Scanner};
use camrill::wire::limits;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (init, fragments, end) = scan(data);
    assert!(end <= data.len() as u64);
    let mut before = 0;
    for f in &fragments {
        assert!(before <= f.offset && f.offset + f.len <= end);
        before = f.offset + f.len;
        assert!(f.runs.iter().map(|run| run.samples.len()).sum::<usize>() <= limits::MP4_FRAGMENT_SAMPLES);
        for run in &f.runs {
            assert!(f.offset < run.offset && run.offset + run.bytes() <= before);
        }
    }
    let Some(init) = init else {
        assert!(fragments.is_empty() && end == 0);
        return;
    };
    let (again, same, same_end) = scan(&data[..end as usize]);
    assert_eq!((again.as_ref(), same.as_slice(), same_end), (Some(&init), fragments.as_slice(), end));

    let mut plain = Plain::new(&init);
    for f in &fragments {
        plain.push(f).expect("within the limits");
    }
    if let Some(finished) = plain.finish() {
        assert!(finished.ranges.iter().all(|r| r.start <= r.end && r.end <= end));
        // What is finished already is let be.
        let (init, fragments, end) = scan(&finished.head);
        assert!(init.is_none() && fragments.is_empty() && end == 0);
    }
});

/// The tracks, the fragments, and up to where the file is of use.
fn scan(file: &[u8]) -> (Option<Init>, Vec<Fragment>, u64) {
    let mut scanner = Scanner::new(file.len() as u64);
    let (mut init, mut fragments) = (None, Vec::new());
    let mut last = None;
    while let Some(wanted) = scanner.wanted() {
        assert!(wanted.len <= limits::MP4_BOX_BYTES && last != Some(wanted));
        last = Some(wanted);
        let at = wanted.offset as usize;
        match scanner.handle_input(&file[at..at + wanted.len]) {
            Ok(None) => {}
            Ok(Some(Found::Init(found))) => assert!(init.replace(found).is_none()),
            Ok(Some(Found::Fragment(found))) => fragments.push(found),
            Err(_) => assert_eq!(scanner.wanted(), None),
        }
    }
    (init, fragments, scanner.end())
}
