//! Settings: which one wins, and what is wrong with those that are refused.

use super::*;

fn parse(text: &str) -> Result<Settings, toml::de::Error> {
    toml::from_str(text)
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let file = parse("feed = \"capture:a.gz\"\nworkers = 3\nlag-ms = 5000").unwrap();
    let flags = Settings {
        workers: Some(2),
        ..Settings::default()
    };
    let config = flags.over(file).check(8).unwrap();
    assert_eq!((config.workers, config.lag_ms, config.ping_ms), (2, 5000, 20_000));
    assert!(matches!(config.feed, FeedOptions::Capture(capture) if capture.path == Path::new("a.gz")));
    assert_eq!(config.listen.to_string(), LISTEN_DEFAULT);
}

#[test]
fn wrong_settings_name_themselves() {
    let unknown = parse("worker = 3").unwrap_err().to_string();
    assert!(
        unknown.contains("unknown field `worker`") && unknown.contains("line 1"),
        "{unknown}"
    );
    let error = |settings: Settings| settings.check(1).unwrap_err().to_string();
    let capture = || Settings {
        feed: vec!["capture:a".into()],
        ..Settings::default()
    };
    assert!(
        error(Settings {
            feed: vec!["udp://x".into()],
            ..capture()
        })
        .contains("udp://x")
    );
    assert_eq!(
        parse("feed = [\"tcp://a:1\", \"tcp://b:1\"]").unwrap().feed.len(),
        2
    );
    let no_url = parse("feed = 3").unwrap_err().to_string();
    assert!(no_url.contains("expected the URL of a feed"), "{no_url}");
    let nowhere = error(Settings {
        listen: Some("9443".into()),
        ..capture()
    });
    assert!(
        nowhere.contains("\"9443\"") && nowhere.contains("HOST:PORT"),
        "{nowhere}"
    );
    for remote in ["0.0.0.0:9443", "[::]:9443", "192.0.2.1:9443"] {
        let refused = |allow_remote| Settings {
            listen: Some(remote.into()),
            allow_remote,
            ..capture()
        };
        let text = error(refused(None));
        assert!(
            text.starts_with(&format!("--listen {remote} is not loopback"))
                && text.contains("--allow-remote"),
            "{text}"
        );
        assert_eq!(error(refused(Some(false))), text);
        assert!(refused(Some(true)).check(1).is_ok());
    }
    for own in [
        "127.0.0.1:9443",
        "127.8.0.1:0",
        "[::1]:9443",
        "[::ffff:127.0.0.1]:9443",
    ] {
        let settings = Settings {
            listen: Some(own.into()),
            ..capture()
        };
        assert!(settings.check(1).is_ok(), "{own}");
    }
    assert_eq!(
        error(Settings {
            workers: Some(0),
            ..capture()
        }),
        "--workers is 0; it takes 1 to 1024"
    );
    assert_eq!(
        error(Settings {
            lag_ms: Some(5),
            ..capture()
        }),
        "--lag-ms is 5; it takes 100 to 86400000"
    );
}
