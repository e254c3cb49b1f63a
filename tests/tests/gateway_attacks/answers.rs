//! A service that has been taken over, or is none.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;

use e2e::gateway_process::{GatewayProcess, KEY};
use e2e::hostile_service::{ANSWER, Play, stream_of};

use super::stage::{BODY, Stage};

/// Short, for what ends by waiting only.
const IMPATIENT: [&str; 2] = ["--patience-s", "1"];

fn chunked(pieces: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{pieces}"
    )
}

#[test]
fn redirect_is_not_followed_and_its_place_not_told() {
    let mut stage = Stage::set(&[]);
    for status in [300, 301, 302, 303, 304, 305, 306, 307, 308, 399] {
        for place in ["/v1/files", "http://169.254.169.254/latest", "//evil", KEY] {
            let name = format!("{status} to {place}");
            let play = Play::bytes(&format!(
                "HTTP/1.1 {status} Go\r\nlocation: {place}\r\ncontent-location: {place}\r\nrefresh: 0; {place}\r\ncontent-length: 0\r\n\r\n"
            ));
            let (reply, line) = stage.answered(&name, play);
            assert_eq!(
                (reply.status(), reply.kind().as_deref()),
                (502, Some("api_error")),
                "{name}"
            );
            assert!(
                !reply.text.contains("location") && !reply.text.contains("refresh"),
                "{name}"
            );
            assert!(!reply.text.contains(place), "{name}: {reply:?}");
            assert_eq!(
                (&line["status"], &line["refused"]),
                (&502.into(), &"api_error".into()),
                "{name}"
            );
        }
    }
    stage.end();
}

#[test]
fn answer_that_is_no_http_is_a_bad_gateway() {
    let mut stage = Stage::set(&[]);
    let many = "x: y\r\n".repeat(101);
    for (name, raw) in [
        ("nothing", String::new()),
        ("garbage", "garbage\r\n\r\n".to_owned()),
        ("nulls", "\0\0\0\0".to_owned()),
        ("another protocol", "SSH-2.0-OpenSSH_9.2\r\n".to_owned()),
        ("TLS", "\x15\x03\x01\0\x02\x02\x28".to_owned()),
        ("old HTTP", "<html>\r\n\r\n".to_owned()),
        ("HTTP/2", "HTTP/2 200\r\n\r\n".to_owned()),
        ("a half head", "HTTP/1.1 200 OK\r\ncontent-le".to_owned()),
        (
            "a head without its end",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n".to_owned(),
        ),
        ("no status", "HTTP/1.1 OK\r\n\r\n".to_owned()),
        ("status of two digits", "HTTP/1.1 20 OK\r\n\r\n".to_owned()),
        ("status below 100", "HTTP/1.1 099 OK\r\n\r\n".to_owned()),
        (
            "length that is no number",
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n".to_owned(),
        ),
        (
            "two lengths",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}x".to_owned(),
        ),
        (
            "null in a header",
            "HTTP/1.1 200 OK\r\nrequest-id: a\0b\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
        ),
        (
            "return in a header",
            "HTTP/1.1 200 OK\r\nrequest-id: a\rset-cookie: b\r\ncontent-length: 2\r\n\r\n{}"
                .to_owned(),
        ),
        (
            "folded header",
            "HTTP/1.1 200 OK\r\nrequest-id: a\r\n b\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
        ),
        (
            "name with a space",
            "HTTP/1.1 200 OK\r\nrequest id: a\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
        ),
        (
            "101 headers",
            format!("HTTP/1.1 200 OK\r\n{many}content-length: 2\r\n\r\n{{}}"),
        ),
        (
            "switch of protocols",
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
                .to_owned(),
        ),
        (
            "compressed",
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\n\x1f\x01\x02"
                .to_owned(),
        ),
        (
            "said to be compressed",
            "HTTP/1.1 200 OK\r\ncontent-encoding: br, \r\ncontent-length: 2\r\n\r\n{}".to_owned(),
        ),
        (
            "compressed error",
            "HTTP/1.1 500 Oh\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
        ),
        (
            "compressed for the way",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
                .to_owned(),
        ),
        (
            "half an error",
            "HTTP/1.1 500 Oh\r\ncontent-length: 100\r\n\r\n{}".to_owned(),
        ),
        (
            "an error in half a chunk",
            "HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\n\r\n64\r\n{}".to_owned(),
        ),
        (
            "error with a bad chunk",
            "HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}".to_owned(),
        ),
    ] {
        // What is whole, though odd, is followed by nothing.
        let is_whole = raw.contains("content-length: 2\r\n\r\n") || raw.ends_with("0\r\n\r\n");
        let play = if is_whole {
            Play::bytes(&raw)
        } else {
            Play::cut(&raw)
        };
        let (reply, line) = stage.answered(name, play);
        assert_eq!(
            (reply.status(), reply.kind().as_deref()),
            (502, Some("api_error")),
            "{name}: {reply:?}"
        );
        assert_eq!(
            (&line["status"], &line["refused"]),
            (&502.into(), &"api_error".into()),
            "{name}"
        );
        // What may have been worked on is paid for; an error is not.
        let is_error = raw.contains(" 500 ") || raw.contains(" 101 ");
        let paid = if is_error { 0 } else { BODY.len().div_ceil(3) };
        assert_eq!(line["input_tokens"], paid, "{name}");
    }
    stage.end();
}

#[test]
fn endless_answers_are_cut_off() {
    let mut stage = Stage::set(&IMPATIENT);
    let error = "HTTP/1.1 500 Oh\r\ncontent-type: application/json\r\n";
    for (name, play, status) in [
        (
            "endless header",
            Play::endless("HTTP/1.1 200 OK\r\nrequest-id: ", "a"),
            502,
        ),
        (
            "endless headers",
            Play::endless("HTTP/1.1 200 OK\r\n", "request-id: a\r\n"),
            502,
        ),
        ("endless status", Play::endless("HTTP/1.1 200 ", "a"), 502),
        ("endless line breaks", Play::endless("", "\r\n"), 502),
        (
            "endless error",
            Play::endless(&format!("{error}\r\n"), "a"),
            502,
        ),
        (
            "endless chunks of an error",
            Play::endless(
                &format!("{error}transfer-encoding: chunked\r\n\r\n"),
                "1\r\na\r\n",
            ),
            502,
        ),
        (
            "huge chunk of an error",
            Play::endless(
                &format!("{error}transfer-encoding: chunked\r\n\r\nfffffffffffffff0\r\n"),
                "a",
            ),
            502,
        ),
        (
            "announced error",
            Play::endless(
                &format!("{error}content-length: 18446744073709551614\r\n\r\n"),
                "a",
            ),
            502,
        ),
        // Nothing but beginnings, until the patience is at its end.
        (
            "endless beginnings",
            Play::endless("", "HTTP/1.1 100 Continue\r\n\r\n"),
            504,
        ),
        (
            "endless hints",
            Play::endless("", "HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n"),
            504,
        ),
    ] {
        let (reply, line) = stage.answered(name, play);
        assert_eq!(reply.status(), status, "{name}: {reply:?}");
        assert!(reply.text.len() < 1000, "{name}");
        assert_eq!(line["status"], status, "{name}");
    }
    stage.end();
}

#[test]
fn service_that_stalls_is_given_up() {
    let mut stage = Stage::set(&IMPATIENT);
    let whole = "HTTP/1.1 500 Oh\r\ncontent-length: 10\r\n\r\nhalf";
    for (name, raw, status) in [
        ("before the head", "", 504),
        ("within the status", "HTTP/1.1 2", 504),
        ("within the head", "HTTP/1.1 200 OK\r\ncontent-", 504),
        ("after a beginning", "HTTP/1.1 100 Continue\r\n\r\n", 504),
        ("within an error", whole, 502),
    ] {
        let (reply, line) = stage.answered(name, Play::stall(raw));
        assert_eq!(reply.status(), status, "{name}: {reply:?}");
        assert_eq!(line["status"], status, "{name}");
    }
    // An answer that has begun is cut off: no whole one, and paid for.
    let event = ANSWER.split_inclusive("\n\n").next().unwrap();
    let length = event.len();
    for (name, raw) in [
        (
            "before the body",
            stream_of("xx").replace("\r\n\r\nxx", "\r\n\r\n"),
        ),
        (
            "within the body",
            stream_of(ANSWER)
                .split_inclusive("\n\n")
                .next()
                .unwrap()
                .to_owned(),
        ),
        (
            "between chunks",
            chunked(&format!("{length:x}\r\n{event}\r\n")),
        ),
        ("within a chunk", chunked(&format!("fff\r\n{event}"))),
        (
            "within a chunk's size",
            chunked(&format!("{length:x}\r\n{event}\r\n7")),
        ),
    ] {
        let (reply, line) = stage.answered(name, Play::stall(&raw));
        assert_eq!(reply.status(), 200, "{name}: {reply:?}");
        assert!(!reply.text.ends_with("0\r\n\r\n"), "{name}: {reply:?}");
        assert_eq!(
            (&line["status"], &line["refused"]),
            (&200.into(), &serde_json::Value::Null),
            "{name}"
        );
        assert_ne!(line["input_tokens"], 0, "{name}");
    }
    stage.end();
}

#[test]
fn cut_answer_is_not_passed_off_as_whole() {
    let mut stage = Stage::set(&[]);
    let event = ANSWER.split_inclusive("\n\n").next().unwrap();
    let length = event.len();
    for (name, raw, counted) in [
        (
            "less than announced",
            stream_of(ANSWER)[..stream_of(ANSWER).len() - 10].to_owned(),
            9,
        ),
        (
            "no last chunk",
            chunked(&format!("{length:x}\r\n{event}\r\n")),
            9,
        ),
        ("half a chunk", chunked(&format!("fff\r\n{event}")), 9),
        (
            "size that is no number",
            chunked(&format!("{length:x}\r\n{event}\r\nzz\r\n")),
            9,
        ),
        (
            "size beyond numbers",
            chunked(&format!("{length:x}\r\n{event}\r\nfffffffffffffffff\r\n")),
            9,
        ),
        (
            "chunk without its end",
            chunked(&format!("{length:x}\r\n{event}XX0\r\n\r\n")),
            9,
        ),
    ] {
        let (reply, line) = stage.answered(name, Play::cut(&raw));
        assert_eq!(reply.status(), 200, "{name}: {reply:?}");
        let (head, body) = reply.text.split_once("\r\n\r\n").unwrap();
        let announced = head.split("content-length: ").nth(1);
        let announced =
            announced.map(|rest| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
        let is_whole = announced.map_or(body.ends_with("0\r\n\r\n"), |length| body.len() >= length);
        assert!(!is_whole, "{name}: {reply:?}");
        assert_eq!(line["input_tokens"], counted, "{name}");
    }
    // Perhaps before the head was passed on.
    let (reply, line) = stage.answered("nothing of the body", Play::cut(&chunked("")));
    assert!(matches!(reply.status(), 0 | 200), "{reply:?}");
    assert!(!reply.text.ends_with("0\r\n\r\n"), "{reply:?}");
    assert_eq!(line["input_tokens"], BODY.len().div_ceil(3));
    stage.end();
}

#[test]
fn key_that_the_service_sends_back_does_not_get_to_the_caller() {
    let mut stage = Stage::set(&[]);
    let stars = "*".repeat(KEY.len());
    let (first, second) = KEY.split_at(11);
    let json = "content-type: application/json\r\n";
    let event = format!("data: {{\"key\":\"{KEY}\"}}\n\n");
    let whole = format!("{{\"error\":\"{KEY}{KEY}\"}}");
    let length = whole.len();
    let byte_by_byte = stream_of(&event).bytes().map(|byte| vec![byte]).collect();
    let raw = |text: String| Play::bytes(&text);
    for (name, play, count) in [
        (
            "in an error",
            raw(format!(
                "HTTP/1.1 401 No\r\n{json}content-length: {length}\r\n\r\n{whole}"
            )),
            2,
        ),
        (
            "in a whole answer",
            raw(format!(
                "HTTP/1.1 200 OK\r\n{json}content-length: {length}\r\n\r\n{whole}"
            )),
            2,
        ),
        ("in an event", raw(stream_of(&event)), 1),
        ("in an event of pieces", Play::Send(byte_by_byte), 1),
        (
            "in two chunks",
            raw(chunked(&format!(
                "b\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
                second.len()
            ))),
            1,
        ),
        (
            "at the end of all",
            raw(format!("HTTP/1.1 200 OK\r\n\r\n{KEY}")),
            1,
        ),
        (
            "in a page",
            raw(format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<b>{KEY}</b>"
            )),
            1,
        ),
        (
            "in headers",
            raw(format!(
                "HTTP/1.1 200 OK\r\nrequest-id: {KEY}\r\nretry-after: {KEY}\r\ncontent-length: 2\r\n\r\n{{}}"
            )),
            2,
        ),
        (
            "in the type",
            raw(format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {KEY}\r\ncontent-length: 2\r\n\r\n{{}}"
            )),
            1,
        ),
        (
            "in headers that do not pass",
            raw(format!(
                "HTTP/1.1 200 OK\r\nx-api-key: {KEY}\r\nset-cookie: {KEY}\r\n{KEY}: x\r\ncontent-length: 2\r\n\r\n{{}}"
            )),
            0,
        ),
        (
            "in the reason",
            raw(format!(
                "HTTP/1.1 500 {KEY}\r\ncontent-length: 2\r\n\r\n{{}}"
            )),
            0,
        ),
        (
            "in trailers",
            raw(chunked(&format!(
                "2\r\n{{}}\r\n0\r\nrequest-id: {KEY}\r\n\r\n"
            ))),
            0,
        ),
        (
            "in an extension",
            raw(chunked(&format!("2;{KEY}\r\n{{}}\r\n0\r\n\r\n"))),
            0,
        ),
        (
            "in a hint",
            raw(format!(
                "HTTP/1.1 103 Hint\r\nlink: {KEY}\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{{}}"
            )),
            0,
        ),
        ("in a bad head", raw(format!("HTTP/1.1 {KEY}\r\n\r\n")), 0),
        (
            "in an endless error",
            Play::endless("HTTP/1.1 500 Oh\r\n\r\n", KEY),
            0,
        ),
    ] {
        // That the key itself is not in it is looked at in every answer.
        let (reply, line) = stage.answered(name, play);
        assert_ne!(reply.status(), 0, "{name}");
        assert_eq!(
            reply.text.matches(&stars).count(),
            count,
            "{name}: {reply:?}"
        );
        assert!(!reply.text.contains(second), "{name}: {reply:?}");
        assert!(!line.to_string().contains(second), "{name}: {line}");
    }
    // In the name of a model, which is written down.
    let start =
        format!("data: {{\"type\":\"message_start\",\"message\":{{\"model\":\"{KEY}\"}}}}\n\n");
    let (_, line) = stage.answered("as the model", Play::events(&start));
    assert_eq!(line["model"], stars);
    // Of the other calls.
    for (target, method) in [("/v1/models", "GET"), ("/v1/messages/count_tokens", "POST")] {
        stage.service.play(Play::bytes(&format!(
            "HTTP/1.1 200 OK\r\n{json}content-length: {length}\r\n\r\n{whole}"
        )));
        let request = stage
            .post(if method == "GET" { "" } else { BODY })
            .replace("POST /v1/messages?beta=true", &format!("{method} {target}"));
        let reply = stage.gateway.send(request.as_bytes());
        assert_eq!(reply.text.matches(&stars).count(), 2, "{target}: {reply:?}");
        stage.service.seen();
    }
    stage.end();
}

#[test]
fn headers_of_the_service_pass_by_a_list() {
    let mut stage = Stage::set(&[]);
    let (reply, _) = stage.answered(
        "headers",
        Play::bytes(
            "HTTP/1.1 200 OK\r\nset-cookie: a=b\r\nserver: x\r\nanthropic-organization-id: o\r\n\
             x-evil: 1\r\nconnection: upgrade, x-evil\r\nupgrade: h2c\r\nkeep-alive: timeout=9\r\n\
             alt-svc: h3=\":443\"\r\nstrict-transport-security: max-age=1\r\nlink: <x>\r\n\
             proxy-authenticate: Basic\r\nwww-authenticate: Basic\r\nrequest-id: r\r\n\
             retry-after: 5\r\nanthropic-ratelimit-requests-reset: soon\r\ncontent-length: 2\r\n\r\n{}",
        ),
    );
    let (head, _) = reply.text.split_once("\r\n\r\n").unwrap();
    let mut headers: Vec<&str> = head
        .split("\r\n")
        .filter(|line| !line.starts_with("date: "))
        .collect();
    headers.sort_unstable();
    assert_eq!(
        headers,
        [
            "HTTP/1.1 200 OK",
            "anthropic-ratelimit-requests-reset: soon",
            "connection: close",
            "content-length: 2",
            "request-id: r",
            "retry-after: 5",
        ]
    );
    stage.end();
}

#[test]
fn second_answer_on_a_connection_is_nobodys() {
    let mut stage = Stage::set(&[]);
    let smuggled = format!(
        "{}HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled",
        stream_of(ANSWER)
    );
    for name in ["first", "second", "third"] {
        // What comes next on this connection would be answered, if it were used again.
        let (reply, _) = stage.answered(name, Play::bytes(&smuggled));
        assert_eq!(reply.status(), 200, "{name}: {reply:?}");
        assert!(reply.text.ends_with(ANSWER), "{name}: {reply:?}");
    }
    stage.end();
}

#[test]
fn endless_stream_lasts_as_long_as_its_reader() {
    let mut stage = Stage::set(&[]);
    let before = stage.gateway.memory_kib();
    let event = "data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"123456789\"}}\n\n";
    let stream = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    for (name, again) in [("events", event), ("one line", "a"), ("nulls", "\0")] {
        stage.service.play(Play::endless(stream, again));
        let mut caller = UnixStream::connect(stage.gateway.socket()).unwrap();
        caller.write_all(stage.post(BODY).as_bytes()).unwrap();
        let mut read = vec![0; 16 << 20];
        caller.read_exact(&mut read).unwrap();
        drop((caller, read));
        let line = stage.audited(1, name).swap_remove(0);
        assert_eq!(line["status"], 200, "{name}");
        // 9 bytes of text in 68, or all of them: 16 MiB of it are millions of tokens.
        assert!(
            line["output_tokens"].as_u64().unwrap() > 500_000,
            "{name}: {line}"
        );
        stage.service.seen();
        stage.control(name, 1);
        stage.audited(1, name);
    }
    let grown = stage.gateway.memory_kib().saturating_sub(before);
    // A line of up to 8 MiB is kept while it may hold the usage, twice while its buffer grows.
    assert!(grown < 28 << 10, "48 MiB passed, and {grown} KiB are held");
    stage.end();
}

#[test]
fn service_without_tls_is_not_spoken_to_where_tls_is_meant() {
    let service = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let upstream = format!("https://{}", service.local_addr().unwrap());
    let gateway = GatewayProcess::start(&upstream, &IMPATIENT);
    let token = gateway.token();
    let length = BODY.len();
    let post = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: h\r\nx-api-key: {token}\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{BODY}"
    );
    for (said, stays, status) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", false, 502),
        ("", false, 502),
        ("\x15\x03\x03\0\x02\x02\x28", false, 502),
        ("", true, 504),
    ] {
        let reply = std::thread::scope(|scope| {
            let asking = scope.spawn(|| gateway.send(post.as_bytes()));
            let (mut stream, _) = service.accept().unwrap();
            // A greeting of TLS, and nothing of the request.
            let mut greeting = [0; 1 << 14];
            let count = stream.read(&mut greeting).unwrap();
            assert_eq!(&greeting[..2], b"\x16\x03", "{said}");
            assert!(!String::from_utf8_lossy(&greeting[..count]).contains(KEY));
            stream.write_all(said.as_bytes()).unwrap();
            if !stays {
                drop(stream);
                return asking.join().unwrap();
            }
            asking.join().unwrap()
        });
        assert_eq!(reply.status(), status, "{said}: {reply:?}");
    }
    let lines = gateway.audited(4);
    assert_eq!(lines[0]["refused"], "api_error");
    assert_eq!(lines[0]["input_tokens"], 0, "nobody got it");
    gateway.terminate();
}
