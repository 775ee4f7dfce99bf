//! Names, requests and keys.

use super::*;

#[test]
fn encrypted_segments_are_what_they_would_be_in_the_clear() {
    let (mut clear, mut secret) = (Disk::new(options(Format::Ts)), Disk::new(encrypted()));
    for disk in [&mut clear, &mut secret] {
        disk.begin(&headers());
        live(disk, 0, 20, 50);
        disk.end();
    }
    let mut keys = BTreeSet::new();
    assert_eq!((secret.closed.len(), clear.closed.len()), (10, 10));
    for (a, b) in clear.closed.iter().zip(&secret.closed) {
        let Some((_, _, Some(key), _)) = secret.known.get(&b.seq) else { panic!("no key") };
        let key: [u8; 16] = secret.files[&format!("live/{key}")].as_ref().try_into().unwrap();
        let mut iv = [0; 16];
        iv[8..].copy_from_slice(&b.seq.to_be_bytes());
        let mut bytes = b.bytes.to_vec();
        assert_eq!(bytes.len() % 16, 0);
        let mut cipher = cbc::Decryptor::<aes::Aes128>::new((&key).into(), (&iv).into());
        for block in bytes.chunks_exact_mut(16) {
            cipher.decrypt_block(block.try_into().unwrap());
        }
        let padding = usize::from(*bytes.last().unwrap());
        assert!((1..=16).contains(&padding));
        assert!(bytes[bytes.len() - padding..].iter().all(|b| usize::from(*b) == padding));
        assert_eq!(bytes[..bytes.len() - padding], a.bytes);
        keys.insert(key);
    }
    assert_eq!(keys.len(), 4, "three segments each");
}

#[test]
fn names_have_their_variables_and_are_never_used_twice() {
    let segment = "[app]/[stream]-[timestamp]-[duration].ts".into();
    let mut disk = Disk::new(Options { ts_floor: true, segment, ..options(Format::Ts) });
    disk.begin(&headers());
    live(&mut disk, 0, 9, 50);
    let floor = BEGAN_MS / 2000;
    let names: Vec<_> = disk.closed.iter().map(|c| c.name.clone()).collect();
    let due = (0..4).map(|n| format!("live/livestream-{}-2000.ts", floor + n)).collect::<Vec<_>>();
    assert_eq!(names, due);

    let mut disk = Disk::new(Options { segment: "[app]/x.ts".into(), ..options(Format::Ts) });
    disk.begin(&headers());
    live(&mut disk, 0, 9, 50);
    let names: Vec<_> = disk.closed.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["live/x.ts", "live/x-1.ts", "live/x-2.ts", "live/x-3.ts"]);
}

#[test]
fn what_makes_no_sense_is_no_writer() {
    let new = |options| Writer::new(options).map(|_| ());
    assert_eq!(new(Options { part_us: Some(1), ..options(Format::Ts) }), Err(Invalid::PartsOfTs));
    let keys = encrypted().keys;
    assert_eq!(new(Options { keys, ..options(Format::Fmp4) }), Err(Invalid::KeysOfFmp4));
    assert!(matches!(new(Options { stream: "..".into(), ..Options::default() }), Err(Invalid::Name(_))));
}

#[test]
fn directives_of_a_request() {
    let reload = Reload { msn: Some(5), part: Some(2), skip: true };
    assert_eq!(Reload::parse("hls_ctx=1&_HLS_msn=5&_HLS_part=2&_HLS_skip=v2"), Some(reload));
    assert_eq!(Reload::parse(""), Some(Reload::default()));
    for bad in ["_HLS_msn=", "_HLS_msn=-1", "_HLS_part=+1", "_HLS_msn=1.5", "_HLS_msn=99999999999999999999"] {
        assert_eq!(Reload::parse(bad), None, "{bad}");
    }
}

#[test]
fn a_context_is_in_every_uri_but_those_of_keys() {
    for (options, keys) in [(low_latency(), 0), (encrypted(), 1)] {
        let mut disk = Disk::new(options);
        disk.begin(&headers());
        live(&mut disk, 0, 7, 50);
        let Answer::Ready(text) = disk.writer.playlist(&Reload::default(), Some("hls_ctx=a\n\"b")) else {
            panic!()
        };
        let text = std::str::from_utf8(&text).unwrap();
        let uris = text.lines().filter(|l| l.contains("URI=") || !l.starts_with('#'));
        let (with, without): (Vec<_>, Vec<_>) = uris.partition(|l| l.contains("?hls_ctx=ab"));
        assert!(with.len() > 2);
        assert_eq!(without.len(), keys, "{without:?}");
    }
}
