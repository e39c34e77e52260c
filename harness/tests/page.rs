//! The report's page in a real browser, driven over its DevTools protocol: no script error, details loaded when a run is opened (from
//! file://, by keyboard alone), dark and light readable, print in light, no sideways scrolling on a telephone.

mod made_up;

use base64::Engine as _;
use freezeframe::report::load::Run;
use made_up::sweep;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tungstenite::{Message, WebSocket};

/// A headless Chromium with one page.
struct Browser {
    child: Child,
    socket: WebSocket<TcpStream>,
    session: String,
    next: u64,
    /// What went wrong in the page.
    errors: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn chromium() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("FREEZEFRAME_CHROMIUM") {
        return Some(path.into());
    }
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    std::env::split_paths(&path).flat_map(|dir| names.map(|n| dir.join(n))).find(|p| p.is_file())
}

impl Browser {
    fn start() -> Option<Self> {
        let Some(program) = chromium() else {
            testing::skip!("chromium", "no chromium, chromium-browser, google-chrome or chrome in PATH");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let child = Command::new(&program)
            .args([
                "--headless=new",
                "--remote-debugging-port=0",
                "--no-first-run",
                "--disable-gpu",
                "--disable-background-networking",
            ])
            .args([
                "--disable-component-update",
                "--disable-sync",
                "--hide-scrollbars",
                "--disable-dev-shm-usage",
                "--window-size=1280,900",
            ])
            // Chromium refuses to be root with its sandbox; the pages are our own.
            .args(nix::unistd::geteuid().is_root().then_some("--no-sandbox"))
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(e) => {
                testing::skip!("chromium", "{} does not start: {e}", program.display());
                return None;
            }
        };
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            said.push_str(&line);
            line.strip_prefix("DevTools listening on ").map(str::to_owned)
        });
        let Some(address) = address else {
            let _ = child.wait();
            testing::skip!("chromium", "{} ends without a debugging port: {said:.300}", program.display());
            return None;
        };
        // Nobody else reads it, and a full pipe would stop the browser.
        std::thread::spawn(move || lines.for_each(drop));
        let host = address.trim_start_matches("ws://").split('/').next().unwrap().to_owned();
        let stream = TcpStream::connect(&host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let (socket, _) = tungstenite::client(address.as_str(), stream).unwrap();
        let mut browser =
            Self { child, socket, session: String::new(), next: 0, errors: Vec::new(), _profile: profile };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached =
            browser.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        attached["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    #[allow(clippy::needless_pass_by_value)] // callers write json!
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let mut message = json!({ "id": self.next, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.socket.send(Message::text(message.to_string())).unwrap();
        loop {
            let answer = self.read();
            if answer["id"] == json!(self.next) {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    fn read(&mut self) -> Value {
        loop {
            let Message::Text(text) = self.socket.read().unwrap() else { continue };
            let message: Value = serde_json::from_str(&text).unwrap();
            let params = &message["params"];
            match message["method"].as_str().unwrap_or_default() {
                "Runtime.exceptionThrown" => self.errors.push(params.to_string()),
                "Runtime.consoleAPICalled" if params["type"] == "error" => {
                    self.errors.push(params.to_string());
                }
                "Log.entryAdded" if params["entry"]["level"] == "error" => {
                    self.errors.push(params.to_string());
                }
                "Network.requestWillBeSent" => {
                    let url = params["request"]["url"].as_str().unwrap_or_default();
                    if !["file:", "data:", "about:"].iter().any(|s| url.starts_with(s)) {
                        self.errors.push(format!("fetches {url}"));
                    }
                }
                _ => {}
            }
            return message;
        }
    }

    fn open(&mut self, page: &Path) {
        self.call("Page.navigate", json!({ "url": format!("file://{}", page.display()) }));
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'");
    }

    fn eval(&mut self, script: &str) -> Value {
        let params = json!({ "expression": script, "returnByValue": true, "awaitPromise": true });
        let result = self.call("Runtime.evaluate", params);
        assert!(result.get("exceptionDetails").is_none(), "{script}: {result}");
        result["result"]["value"].clone()
    }

    fn wait(&mut self, script: &str) {
        let start = Instant::now();
        while self.eval(script) != json!(true) {
            assert!(start.elapsed() < Duration::from_secs(40), "never true: {script}; {:?}", self.errors);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn key(&mut self, key: &str, code: u32) {
        for kind in ["keyDown", "keyUp"] {
            let mut params = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            if key == "Enter" && kind == "keyDown" {
                params["text"] = json!("\r");
            }
            self.call("Input.dispatchKeyEvent", params);
        }
    }

    fn prefers(&mut self, media: &str, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "media": media, "features": features }));
    }

    fn width(&mut self, width: u32, telephone: bool) {
        let params = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": telephone });
        self.call("Emulation.setDeviceMetricsOverride", params);
    }

    /// A picture of the whole page, for a look at it.
    fn picture(&mut self, name: &str) {
        let shot =
            self.call("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": true }));
        let png = base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(name), png).unwrap();
    }
}

/// Contrast (WCAG 2.1) of every text of figures and tables with the card behind it; those below the 4.5 to 1 that it asks for.
const PALE: &str = r#"(() => {
  const numbers = (c) => (c.match(/[\d.]+/g) ?? []).map(Number);
  const light = (c) => { const [r, g, b] = numbers(c).map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const contrast = (a, b) => { const [x, y] = [light(a), light(b)]; return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05); };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; const n = numbers(c); if (n.length === 3 || n[3] === 1) return c; } return "rgb(255, 255, 255)"; };
  const pale = [];
  for (const e of document.querySelectorAll("svg text, figcaption, figcaption code, h1, h2, h3, .facts span, details.run summary span, table th, table td")) {
    if (!e.textContent.trim()) continue;
    const style = getComputedStyle(e);
    const c = contrast(e.closest("svg") ? style.fill : style.color, behind(e));
    if (c < 4.5) pale.push(`${e.tagName} ${e.textContent.trim().slice(0, 30)}: ${c.toFixed(1)}`);
  }
  return pale;
})()"#;

#[test]
fn the_page_works_in_a_browser() {
    let Some(mut browser) = Browser::start() else { return };
    let root = tempfile::tempdir().unwrap();
    // A folder whose name needs escaping in an address.
    let folder = root.path().join("a sweep, 100 %");
    let runs: Vec<Run> = sweep(2).iter().map(|run| made_up::on_disk(&folder, run)).collect();
    let strips = runs[0].dir.join("strips");
    std::fs::create_dir_all(&strips).unwrap();
    let picture = jpeg();
    for frame in [7, 11] {
        std::fs::write(strips.join(format!("rgb-{frame:06}.jpg")), &picture).unwrap();
    }
    freezeframe::report::write(&folder).unwrap();
    let page = folder.join("report.html");
    browser.prefers("screen", "light");
    browser.width(1280, false);
    browser.call("Page.navigate", json!({ "url": address(&page) }));
    browser.wait("document.readyState === 'complete' && location.protocol === 'file:'");

    // Nothing of a run is there before it is opened.
    assert_eq!(browser.eval("document.querySelectorAll('script[src]').length"), json!(0));
    assert_eq!(browser.eval("document.querySelectorAll('.timeline').length"), json!(0));
    assert_eq!(browser.eval(PALE), json!([]), "light");
    browser.picture("light.png");

    // By keyboard: the run's line has the focus, Enter opens it.
    browser.eval("document.querySelector('details.run summary').focus()");
    browser.key("Enter", 13);
    browser.wait("document.querySelector('details.run').dataset.state === 'loaded'");
    assert_eq!(
        browser.eval("document.querySelectorAll('script[src]').length"),
        json!(1),
        "one run, one script"
    );
    browser
        .wait("[...document.querySelectorAll('.strip img')].every((i) => i.complete && i.naturalWidth > 0)");
    assert_eq!(browser.eval("document.querySelectorAll('.strip img').length"), json!(2));
    // The cross hair reads out frames by arrow keys.
    browser.eval("document.querySelector('.timeline').focus()");
    let tip = "document.querySelector('.timeline .tip').textContent.split(' ·')[0]";
    for (key, code, said) in [
        ("ArrowRight", 39, "frame 0"),
        ("ArrowRight", 39, "frame 1"),
        ("End", 35, "frame 299"),
        ("PageUp", 33, "frame 269"),
        ("Home", 36, "frame 0"),
    ] {
        browser.key(key, code);
        assert_eq!(browser.eval(tip), json!(said), "{key}");
    }
    // It stands where the frame is: the middle of the first frame, in the plotting area.
    let off = browser.eval("(() => { const t = document.querySelector('.timeline'); const d = JSON.parse(t.querySelector('script').textContent); const w = t.querySelector('svg').getBoundingClientRect().width; return Math.abs(parseFloat(t.querySelector('.cross').style.left) - (d.left + 0.5 / d.n * (d.right - d.left)) * w); })()");
    assert!(off.as_f64().unwrap() < 0.6, "{off}");
    browser.eval("document.querySelector('.timeline').scrollIntoView()");
    browser.picture("light-run.png");

    // Dark, as the reader's system is, and by the button.
    browser.prefers("screen", "dark");
    assert_eq!(browser.eval(PALE), json!([]), "dark");
    browser.picture("dark.png");
    let paper = "getComputedStyle(document.body).backgroundColor";
    let dark = browser.eval(paper);
    browser.eval("document.getElementById('theme').focus()");
    browser.key("Enter", 13);
    let light = browser.eval(paper);
    assert_ne!(dark, light);
    browser.key("Enter", 13);
    assert_eq!(browser.eval(paper), dark);

    // Printed, a dark page is light.
    browser.prefers("print", "dark");
    assert_eq!(browser.eval(paper), json!("rgb(255, 255, 255)"));
    assert_eq!(browser.eval("getComputedStyle(document.querySelector('nav')).display"), json!("none"));
    assert_eq!(browser.eval(PALE), json!([]), "print");
    let pdf = browser.call("Page.printToPDF", json!({ "printBackground": true }));
    let pdf = base64::engine::general_purpose::STANDARD.decode(pdf["data"].as_str().unwrap()).unwrap();
    assert!(pdf.starts_with(b"%PDF") && pdf.len() > 20_000, "{}", pdf.len());

    // No sideways scrolling, wide or narrow.
    browser.prefers("screen", "light");
    for (width, telephone) in [(1280, false), (390, true)] {
        browser.width(width, telephone);
        let wide = browser.eval("document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(wide <= u64::from(width) + 1, "{wide} pixels of page on {width}");
    }
    browser.picture("telephone.png");
    assert_eq!(browser.errors, Vec::<String>::new());

    // Without its runs beside it the page says so.
    let alone = root.path().join("alone.html");
    std::fs::copy(&page, &alone).unwrap();
    browser.open(&alone);
    browser.eval("document.querySelector('details.run').open = true");
    browser.wait("document.querySelector('details.run .inside').textContent.includes('is not there')");
}

/// The page of one run opens it at once.
#[test]
fn the_page_of_one_run_shows_it() {
    let Some(mut browser) = Browser::start() else { return };
    let root = tempfile::tempdir().unwrap();
    let run = made_up::on_disk(root.path(), &made_up::run(&made_up::MadeUp::default()));
    freezeframe::report::write(&run.dir).unwrap();
    browser.open(&run.dir.join("report.html"));
    browser.wait("document.querySelector('details.run').dataset.state === 'loaded'");
    browser.width(1280, false);
    browser.picture("run.png");
    assert_eq!(browser.eval("document.querySelectorAll('.timeline svg').length"), json!(1));
    assert_eq!(browser.errors, Vec::<String>::new());
}

fn address(path: &Path) -> String {
    let text = path.display().to_string();
    format!("file://{}", text.replace('%', "%25").replace(' ', "%20").replace(',', "%2C"))
}

fn jpeg() -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut bytes, 80);
    encoder.encode(&[128; 48 * 16 * 3], 48, 16, jpeg_encoder::ColorType::Rgb).unwrap();
    bytes
}
