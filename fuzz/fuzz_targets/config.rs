//! A configuration's text. What was loaded prints as what loads as the same.

#![no_main]

use camrill::config::{Config, Settings};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut config = Config::new();
    if let Err(error) = config.load_text("fuzz.conf", text) {
        assert!(!error.to_string().is_empty());
        return;
    }
    let settings = Settings::from_config(&config).map(|(settings, _)| settings);
    let printed = config.print();

    let mut again = Config::new();
    again.load_text("printed.conf", &printed).expect("what was printed loads");
    assert_eq!(again.print(), printed);
    match (settings, Settings::from_config(&again)) {
        (Ok(a), Ok((b, _))) => assert_eq!(a, b),
        (Err(_), Err(_)) => {}
        (a, b) => panic!("{a:?} became {b:?}"),
    }
});
