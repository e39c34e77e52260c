//! The schemas say what the types accept: both are asked about the same texts, and must agree.

use contract::{Event, EventKind, LossCause, Manifest, Role, RunSpec, Side, Status, Stream, schema};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// JSON schema as far as these schemas use it; a keyword that is not here is a failure.
struct Validator(Value);

fn validator(text: &str) -> Validator {
    Validator(parsed(text))
}

/// A pattern of the schemas, and the type that has the last word on it.
type Pattern = (&'static str, fn(&str) -> bool);
const PATTERNS: [Pattern; 4] = [
    ("^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$", |t| t.parse::<contract::Name>().is_ok()),
    ("^[0-9]+(\\.[0-9]+)?(ns|us|ms|s)$", |t| t.parse::<link::Span>().is_ok()),
    ("^[0-9]+(\\.[0-9]+)?%$", |t| t.ends_with('%') && t.parse::<link::Probability>().is_ok()),
    ("^[.x]*$", |t| t.chars().all(|c| c == '.' || c == 'x')),
];

impl Validator {
    fn is_valid(&self, value: &Value) -> bool {
        self.errors(value).is_empty()
    }

    fn errors(&self, value: &Value) -> Vec<String> {
        let mut errors = Vec::new();
        check(&self.0, value, "", &mut errors);
        errors
    }
}

fn valid(schema: &Value, value: &Value) -> bool {
    let mut errors = Vec::new();
    check(schema, value, "", &mut errors);
    errors.is_empty()
}

fn is_of(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        other => panic!("type {other}"),
    }
}

/// The specification's words, draft 2020-12: core, sections 10 and 11; validation, section 6.
fn check(schema: &Value, value: &Value, at: &str, errors: &mut Vec<String>) {
    let whole = schema.as_object().expect("a schema");
    let list = |v: &Value| v.as_array().expect("a list").clone();
    for (keyword, rule) in whole {
        let kept = match keyword.as_str() {
            "$schema" | "title" | "description" | "default" | "then" => true,
            "type" if rule.is_string() => is_of(rule.as_str().expect("a type"), value),
            "type" => list(rule).iter().any(|t| is_of(t.as_str().expect("a type"), value)),
            "const" => rule == value,
            "enum" => list(rule).contains(value),
            "minimum" => value.as_f64().is_none_or(|v| v >= rule.as_f64().expect("a number")),
            "maximum" => value.as_f64().is_none_or(|v| v <= rule.as_f64().expect("a number")),
            "minItems" => value.as_array().is_none_or(|v| v.len() as u64 >= rule.as_u64().expect("a number")),
            "maxItems" => value.as_array().is_none_or(|v| v.len() as u64 <= rule.as_u64().expect("a number")),
            "uniqueItems" => value.as_array().is_none_or(|v| (1..v.len()).all(|i| !v[..i].contains(&v[i]))),
            "pattern" => {
                let (_, accepts) = PATTERNS.iter().find(|(p, _)| rule == p).expect("a known pattern");
                value.as_str().is_none_or(accepts)
            }
            "required" => value
                .as_object()
                .is_none_or(|v| list(rule).iter().all(|k| v.contains_key(k.as_str().expect("a key")))),
            "oneOf" => list(rule).iter().filter(|s| valid(s, value)).count() == 1,
            "anyOf" => list(rule).iter().any(|s| valid(s, value)),
            "allOf" => list(rule).iter().all(|s| valid(s, value)),
            "if" => !valid(rule, value) || whole.get("then").is_none_or(|then| valid(then, value)),
            "items" => {
                value
                    .as_array()
                    .into_iter()
                    .flatten()
                    .for_each(|v| check(rule, v, &format!("{at}[]"), errors));
                true
            }
            "prefixItems" => {
                value.as_array().is_none_or(|v| list(rule).iter().zip(v).all(|(s, v)| valid(s, v)))
            }
            "properties" => {
                for (key, schema) in rule.as_object().expect("properties") {
                    if let Some(value) = value.get(key) {
                        check(schema, value, &format!("{at}/{key}"), errors);
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = |key: &String| whole.get("properties").is_some_and(|p| p.get(key).is_some());
                let others = value.as_object().into_iter().flatten().filter(|(key, _)| !known(key));
                others
                    .into_iter()
                    .all(|(_, v)| if rule.is_object() { valid(rule, v) } else { rule == &Value::Bool(true) })
            }
            other => panic!("{at}: the keyword {other} is not known here"),
        };
        if !kept {
            errors.push(format!("{at}: {keyword} {rule}: {value}"));
        }
    }
}

/// An implementation that nobody here wrote holds the schemas to be schemas, and the same values to be valid.
#[test]
fn python_agrees() {
    let script = r#"
import json, sys
from jsonschema import Draft202012Validator as V
for schema, value, valid in json.load(sys.stdin):
    V.check_schema(schema)
    if V(schema).is_valid(value) != valid:
        sys.exit(f"{value}: not {valid}: {[e.message for e in V(schema).iter_errors(value)]}")
print("agreed")
"#;
    let there = std::process::Command::new("python3").args(["-c", "import jsonschema"]).output();
    if !there.is_ok_and(|o| o.status.success()) {
        return testing::skip!("jsonschema", "python3 has no module jsonschema");
    }
    let toml = |text: &str| serde_json::to_value(text.parse::<toml::Table>().expect("TOML")).expect("JSON");
    let cases = json!([
        [parsed(schema::MANIFEST), toml(PLAIN), true],
        [parsed(schema::MANIFEST), toml(&format!("{PLAIN}wire = 'rtp'")), false],
        [parsed(schema::MANIFEST), toml(&format!("{PLAIN}name2 = 'x'")), false],
        [parsed(schema::SPEC), toml(SPEC), true],
        [parsed(schema::SPEC), toml(&SPEC.replace("6.8%", "much")), false],
        [parsed(schema::EVENT), {"t_ns": 0, "side": "sender", "event": "captured", "frame": 0}, true],
        [parsed(schema::EVENT), {"t_ns": 0, "side": "sender", "event": "captured"}, false],
        [parsed(schema::LINE), {"type": "start", "epoch_ns": 1}, true],
        [parsed(schema::LINE), {"type": "start"}, false],
    ]);
    let mut python = std::process::Command::new("python3")
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("python3");
    std::io::Write::write_all(&mut python.stdin.take().expect("a pipe"), cases.to_string().as_bytes())
        .expect("a pipe");
    let output = python.wait_with_output().expect("python3");
    assert!(output.status.success() && output.stdout == b"agreed\n", "{output:?}");
}

/// The fields that a type has, from serde's own words about one that it has not.
fn known_fields(error: &str) -> BTreeSet<String> {
    let (_, list) = error.split_once("expected ").unwrap_or_else(|| panic!("no list of fields: {error}"));
    list.lines().next().unwrap_or_default().split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn properties(schema: &Value) -> BTreeSet<String> {
    schema["properties"].as_object().expect("properties").keys().cloned().collect()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("a schema is JSON")
}

const PLAIN: &str = "name = 'x'\nabout = 'y'\ncommand = ['z']\n";

#[test]
fn manifest_and_limits_have_the_fields_of_their_types() {
    let schema = parsed(schema::MANIFEST);
    let unknown = |lines: &str| {
        Manifest::parse("m", &format!("{PLAIN}{lines}")).expect_err("an unknown key").to_string()
    };
    assert_eq!(known_fields(&unknown("zz = 1")), properties(&schema));
    assert_eq!(known_fields(&unknown("[limits]\nzz = 1")), properties(&schema["properties"]["limits"]));
    // Defaults that are written down are those that are used.
    let limits = serde_json::to_value(contract::Limits::default()).expect("limits");
    for (name, property) in schema["properties"]["limits"]["properties"].as_object().expect("limits") {
        assert_eq!(property.get("default"), limits.get(name), "limits.{name}");
    }
}

#[test]
fn a_manifest_is_accepted_by_both_or_by_none() {
    let validator = validator(schema::MANIFEST);
    let cases = [
        "",
        "simulate = false",
        "simulate = 1",
        "describe = true\ncolour_only = true\nsetup_ms = 7\nready_timeout_s = 9",
        "setup_ms = -1",
        "warm_s = 600",
        "warm_s = 601",
        "warm_s = 1.5",
        "capturing = true",
        "capturing = true\nsimulate = false",
        "wire = 'rtp'",
        "wire = 'rtp'\nsimulate = false",
        "wire = 'rtcp'\nsimulate = false",
        "playout = 'adaptive'",
        "playout = 'own'",
        "allow = ['tcp', 'icmp', 'ip', 'multicast']",
        "allow = ['pigeons']",
        "files = ['a']\nread = ['b']",
        "files = 'a'",
        "camera = 'x11'",
        "kind = 'app'",
        "kind = 'app'\nscreen = 'pipe'\nserve = ['python3', 'server.py']\nserve_port = 65535\nserve_delay_ms = 1",
        "kind = 'app'\nwire = 'rtp'",
        "kind = 'app'\ncapturing = true",
        "kind = 'reports'\ncapturing = true",
        "kind = 'page'",
        "screen = 'wall'",
        "serve = ['x']",
        "serve = []",
        "serve_port = 65536",
        "[limits]\nmemory_mb = 1\nsimulate_s = 3",
        "[limits]\nprocesses = 4294967296",
        "[limits]\npackets = 'many'",
        "[limits]\nbytes = 3",
    ];
    let (mut yes, mut no) = (0, 0);
    let mut check = |text: &str| {
        let value = serde_json::to_value(text.parse::<toml::Table>().expect("TOML")).expect("JSON");
        let typed = Manifest::parse("m", text);
        assert_eq!(typed.is_ok(), validator.is_valid(&value), "{text}: {typed:?}");
        *(if typed.is_ok() { &mut yes } else { &mut no }) += 1;
    };
    cases.iter().for_each(|lines| check(&format!("{PLAIN}{lines}")));
    for text in [
        "name = 'x'\nabout = 'y'",
        "about = 'y'\ncommand = ['z']",
        "name = 'x'\ncommand = ['z']",
        "name = 'x y'\nabout = ''\ncommand = ['z']",
        "name = ''\nabout = ''\ncommand = ['z']",
        "name = 'x'\nabout = ''\ncommand = []",
        "name = 'x'\nabout = ''\ncommand = 'z'",
    ] {
        check(text);
    }
    assert!(yes > 8 && no > 12, "{yes} accepted, {no} refused");
}

const SPEC: &str = r#"
system = "x"
backend = "namespaces"
shaper = "user"
seed = 5
revision = "r"
replay = "freezeframe run"
capture_start_ns = 3000000000
warm_ns = 1000000000
captured_from_ns = 3000000001
playout_ns = 150000000
cache = "/c"
given = ["a"]
[clip]
name = "c"
label = "c d"
rgb = "/c.y4m"
depth = "/d"
depth_range_mm = [300, 5000]
depth_per_metre = 1000.0
depth_fov_degrees = 60.5
width = 64
height = 48
fps = 30
frames = 2
hash = "h"
depth_hash = "i"
[options]
any = [1, "a"]
[costs]
name = "m"
machine = "h"
pixels = 64
work = { vp8 = { encode_us = 1, decode_us = 2, recover_us = 3 } }
[scenario]
name = "s"
description = ""
playout = "150ms"
target = "320kbit"
[scenario.forward]
model = "netem"
order = "queue_first"
epoch = "run"
overhead = "0B"
duplicate = "0.1%"
corrupt = "0%"
[scenario.forward.loss]
model = "gilbert_elliott"
good_to_bad = "6.8%"
bad_to_good = "85.2%"
loss_good = "4%"
loss_bad = "50%"
step = "frame"
loss_by = "new"
[scenario.forward.bottleneck]
rate = "2000kbit"
burst = "1500B"
debt = true
queue = "6000B"
[scenario.forward.delay]
base = "20ms"
jitter = "1ms"
reorder = true
[scenario.reverse.loss]
model = "random"
probability = "1%"
[identity.tool]
version = "1"
commit = "c"
dirty = true
sources = "s"
path_sources = "p"
libraries = { a = "b" }
[identity.system]
manifest = "m"
files = { a = "b" }
depends_on = { weights = { a = "b" }, encoders = { a = "b" }, libraries = { a = "b" } }
[identity.machine]
host = "h"
cpu = "c"
kernel = "k"
"#;

#[test]
fn a_spec_is_accepted_by_both_or_by_none() {
    let validator = validator(schema::SPEC);
    let whole = serde_json::to_value(SPEC.parse::<toml::Table>().expect("TOML")).expect("JSON");
    let typed = |value: &Value| serde_json::from_value::<RunSpec>(value.clone());
    let read = typed(&whole).expect("every field that there is");
    // What the harness writes is what the schema describes, field for field.
    let written = serde_json::to_value(toml::Table::try_from(&read).expect("TOML")).expect("JSON");
    for value in [&whole, &written] {
        let errors = validator.errors(value);
        assert!(errors.is_empty(), "{errors:?}");
    }
    // Every object refuses what it does not know, in both; what one can do without, both can.
    let mut paths = Vec::new();
    objects(&whole, String::new(), &mut paths);
    let mut both = 0;
    for path in paths {
        let open = ["/options", "/identity/tool/libraries", "/identity/system/files"]
            .contains(&path.as_str())
            || path.starts_with("/identity/system/depends_on/");
        let mut more = whole.clone();
        more.pointer_mut(&path).expect("an object")["zz"] = json!("1");
        assert_eq!(validator.is_valid(&more), open, "{path}/zz");
        assert_eq!(typed(&more).is_ok(), open, "{path}/zz");
        for key in whole.pointer(&path).expect("an object").as_object().expect("an object").keys() {
            let mut less = whole.clone();
            less.pointer_mut(&path).and_then(Value::as_object_mut).expect("an object").remove(key);
            assert_eq!(typed(&less).is_ok(), validator.is_valid(&less), "without {path}/{key}");
            both += 1;
            // Of another type.
            if !open {
                let mut other = whole.clone();
                // serde reads a struct of defaults out of an array, too; nobody writes one so.
                let value = &mut other.pointer_mut(&path).expect("an object")[key];
                *value = if value.is_object() { json!("zz") } else { json!([[]]) };
                assert!(
                    typed(&other).is_err() && !validator.is_valid(&other),
                    "{path}/{key} of another type"
                );
            }
        }
    }
    assert!(both > 70, "only {both} fields");
}

fn objects(value: &Value, path: String, into: &mut Vec<String>) {
    if let Value::Object(map) = value {
        for (key, value) in map {
            objects(value, format!("{path}/{key}"), into);
        }
        into.push(path);
    }
}

fn event() -> impl Strategy<Value = Event> {
    let stream = || proptest::sample::select(Stream::ALL.to_vec());
    let roles = [Role::Data, Role::Parity, Role::Repeat, Role::Feedback, Role::Control];
    let role = move || proptest::sample::select(roles.to_vec());
    let text = || proptest::option::of("[a-z]{0,4}");
    let n = any::<u32>;
    let kind = prop_oneof![
        n().prop_map(|frame| EventKind::Captured { frame }),
        (n(), stream(), n(), any::<Option<bool>>())
            .prop_map(|(frame, stream, bytes, key)| EventKind::Encoded { frame, stream, bytes, key }),
        (n(), stream(), role(), n(), n()).prop_map(|(frame, stream, role, index, bytes)| {
            EventKind::Sent { frame, stream, role, index, bytes }
        }),
        (n(), stream(), role(), n(), n()).prop_map(|(frame, stream, role, index, bytes)| {
            EventKind::LostAtSender { frame, stream, role, index, bytes }
        }),
        (n(), stream(), role(), n(), n(), any::<bool>()).prop_map(
            |(frame, stream, role, index, bytes, duplicate)| {
                EventKind::Received { frame, stream, role, index, bytes, duplicate }
            }
        ),
        (n(), "[a-z]*").prop_map(|(frame, reason)| EventKind::SenderDrop { frame, reason }),
        (n(), stream(), n()).prop_map(|(frame, stream, recovered)| EventKind::Complete {
            frame,
            stream,
            recovered
        }),
        (n(), stream(), text()).prop_map(|(frame, stream, picture)| EventKind::Decoded {
            frame,
            stream,
            picture
        }),
        (n(), stream(), proptest::sample::select(LossCause::ALL.to_vec()), n())
            .prop_map(|(frame, stream, cause, missing)| EventKind::Lost { frame, stream, cause, missing }),
        (n(), stream(), proptest::sample::select(Status::ALL.to_vec()), any::<Option<u32>>(), text())
            .prop_map(|(frame, stream, status, shown, picture)| EventKind::Slot {
                frame,
                stream,
                status,
                shown,
                picture
            }),
        (n(), "[a-z]*").prop_map(|(bytes, reason)| EventKind::Malformed { bytes, reason }),
        "[a-z]*".prop_map(|what| EventKind::Feedback { what }),
        (0..u64::MAX / 2, 0..u64::MAX / 2)
            .prop_map(|(buffered, dropped)| EventKind::Transport { buffered, dropped }),
        "[a-z]*".prop_map(|text| EventKind::Note { text }),
    ];
    (0..u64::MAX / 2, any::<bool>(), kind).prop_map(|(t, of_sender, kind)| Event {
        t_ns: link::Timestamp(t),
        side: if of_sender { Side::Sender } else { Side::Receiver },
        kind,
    })
}

proptest! {
    /// What is written is valid; without a field, or with one of another type, both say the same.
    #[test]
    fn an_event_is_accepted_by_both_or_by_none(event in event()) {
        let validator = validator(schema::EVENT);
        let value = serde_json::to_value(&event).expect("an event");
        let agree = |value: &Value| serde_json::from_value::<Event>(value.clone()).is_ok() == validator.is_valid(value);
        prop_assert!(validator.is_valid(&value), "{value}");
        for key in value.as_object().expect("an object").keys() {
            let mut less = value.clone();
            less.as_object_mut().expect("an object").remove(key);
            prop_assert!(agree(&less), "without {key}: {less}");
            for other in [json!([]), json!("zz"), json!(-1), json!(1.5), json!(true), json!(null), json!(4_294_967_296u64)] {
                // A picture may be any text, and so may words; numbers of 64 bits go further.
                let mut changed = value.clone();
                changed[key] = other;
                prop_assert!(agree(&changed), "{key}: {changed}");
            }
        }
        let mut more = value.clone();
        more["zz"] = json!(1);
        prop_assert!(agree(&more), "unknown fields are ignored by both: {more}");
    }
}

/// Every kind of event is in the schema, and no other.
#[test]
fn the_kinds_of_events_are_those_of_the_type() {
    let wrong = json!({"t_ns": 0, "side": "sender", "event": "zz"});
    let known = known_fields(&serde_json::from_value::<Event>(wrong).expect_err("no such event").to_string());
    let schema = parsed(schema::EVENT);
    let kinds = schema["oneOf"].as_array().expect("kinds").iter();
    let listed: BTreeSet<String> =
        kinds.map(|k| k["properties"]["event"]["const"].as_str().expect("a name").to_owned()).collect();
    assert_eq!(known, listed);
}

#[test]
fn control_lines_are_those_of_the_documentation() {
    let validator = validator(schema::LINE);
    let plugin = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/PLUGIN.md"))
        .expect("PLUGIN.md");
    let mut lines = 0;
    for row in plugin.lines().filter(|l| l.starts_with("| `{\"type\":")) {
        let text = row.split('`').nth(1).expect("a line").replace(":N}", ":1}").replace('…', "x");
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert!(validator.is_valid(&value), "{text}");
        lines += 1;
    }
    let schema = parsed(schema::LINE);
    assert_eq!(lines, schema["oneOf"].as_array().expect("lines").len(), "a row for each line");
    for wrong in [
        json!({"type": "start"}),
        json!({"type": "begin"}),
        json!({"epoch_ns": 1}),
        json!({"type": "start", "epoch_ns": -1}),
    ] {
        assert!(!validator.is_valid(&wrong), "{wrong}");
    }
}
