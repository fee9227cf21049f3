//! What the code finds: a script of its own, a terminal of nobody, and Python as it should be.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use super::support::aloud::not_tried;
use super::support::mcp::run;
use super::support::server::shared;

#[track_caller]
fn prints(code: &str, expected: &str) {
    let answer = run(shared().address, code).expect("ok");
    assert_eq!(answer.stdout(), expected, "{:#}", answer.message);
}

#[test]
fn the_value_of_a_last_expression_is_the_result() {
    let answer = run(shared().address, "x = 20\nprint('printed')\nx * 2 + 2").expect("ok");
    assert_eq!((answer.text("result"), answer.stdout()), ("42", "printed\n"));
}

#[test]
fn a_last_statement_or_none_has_no_result() {
    for code in ["x = 1", "print(1)", "None", "[1].append(2)", "if True:\n  1"] {
        let answer = run(shared().address, code).expect("ok");
        assert!(answer.result()["result"].is_null(), "{code}: {}", answer.result()["result"]);
    }
}

#[test]
fn exit_codes_are_told() {
    for (code, status, exit) in [
        ("pass", "ok", 0),
        ("import sys\nsys.exit(0)", "ok", 0),
        ("import sys\nsys.exit(7)", "error", 7),
        ("import os\nos._exit(255)", "error", 255),
        ("raise SystemExit('words')", "error", 1),
        ("1 / 0", "error", 1),
    ] {
        let answer = run(shared().address, code).expect(status);
        assert_eq!(answer.exit_code(), Some(exit), "{code}");
        assert!(!answer.is_error(), "a program that ended by itself is a result: {code}");
    }
}

#[test]
fn a_signal_is_told_by_name() {
    let answer = run(shared().address, "import os, signal\nos.abort()").expect("error");
    assert_eq!(answer.text("signal"), "SIGABRT");
    assert_eq!(answer.exit_code(), None);
}

#[test]
fn a_traceback_shows_the_lines_of_the_code() {
    let code = "def inner():\n    return 1 / 0  # here\n\ninner()\n";
    let answer = run(shared().address, code).expect("error");
    let text = answer.stderr();
    assert!(text.contains("return 1 / 0  # here"), "{text}");
    assert!(text.contains("line 2, in inner") && text.contains("line 4, in <module>"), "{text}");
    assert!(text.contains("ZeroDivisionError"), "{text}");
    assert!(!text.contains("runpy"), "frames of ours are nobody's business: {text}");
    let frames = text.matches("  File ").count();
    assert_eq!(frames, 2, "{text}");
}

#[test]
fn a_syntax_error_shows_its_line() {
    let answer = run(shared().address, "x = 1\ny = = 2\n").expect("error");
    assert!(answer.stderr().contains("SyntaxError") && answer.stderr().contains("y = = 2"));
    assert!(answer.stderr().contains("line 2"), "{}", answer.stderr());
}

#[test]
fn indented_code_is_dedented() {
    prints("\n    if True:\n        print('in')\n    print('out')\n", "in\nout\n");
}

#[test]
fn multi_line_strings_keep_what_is_inside_them() {
    prints("    text = '''a\n      b'''\n    print(text)", "a\n  b\n");
}

#[test]
fn stdin_is_empty() {
    prints("import sys\nprint(repr(sys.stdin.read()))", "''\n");
    let answer = run(shared().address, "input()").expect("error");
    assert!(answer.stderr().contains("EOFError"));
}

#[test]
fn the_code_is_main_in_a_real_file_in_the_workspace() {
    prints(
        "import os, sys\nprint(__name__, os.getcwd(), os.path.isfile(__file__), sys.path[0], sys.argv == [__file__])",
        "__main__ /workspace True /workspace True\n",
    );
}

#[test]
fn the_workspace_starts_empty_and_is_writable() {
    prints(
        "import os\nprint(sorted(n for n in os.listdir('.') if not n.endswith('.py')))",
        "['mounts', 'output']\n",
    );
    prints(
        "open('x', 'w').write('1')\nopen('output/y', 'w').write('2')\nprint(open('x').read())",
        "1\n",
    );
}

#[test]
fn a_module_written_beside_the_script_is_importable() {
    prints("open('other.py', 'w').write('value = 5')\nimport other\nprint(other.value)", "5\n");
}

#[test]
fn multiprocessing_works_with_every_start_method() {
    let code = "
        import multiprocessing as mp
        def square(n):
            return n * n
        if __name__ == '__main__':
            for method in ('fork', 'spawn', 'forkserver'):
                with mp.get_context(method).Pool(2) as pool:
                    print(method, pool.map(square, range(4)))
    ";
    prints(code, "fork [0, 1, 4, 9]\nspawn [0, 1, 4, 9]\nforkserver [0, 1, 4, 9]\n");
}

#[test]
fn usual_tools_are_there() {
    let code = "
        import subprocess
        print(subprocess.run('echo a b | wc -w', shell=True, capture_output=True, text=True).stdout.strip())
        print(subprocess.run(['ls', '/workspace/mounts'], check=True).returncode)
    ";
    prints(code, "2\n0\n");
}

#[test]
fn git_keeps_versions_where_the_host_has_it() {
    if !std::path::Path::new("/usr/bin/git").exists() {
        return not_tried("git in a run: this host has none");
    }
    let code = "
        import subprocess
        print(subprocess.run('git init -q . && git status --short | grep -c py', shell=True, text=True, capture_output=True).stdout.strip())
    ";
    prints(code, "1\n");
}

#[test]
fn standard_streams_can_be_reopened_by_name() {
    let code = "
        import subprocess
        open('/dev/stdout', 'w').write('by name\\n')
        subprocess.run('echo to both | tee /dev/stderr', shell=True, check=True)
    ";
    let answer = run(shared().address, code).expect("ok");
    assert_eq!((answer.stdout(), answer.stderr()), ("by name\nto both\n", "to both\n"));
}

#[test]
fn the_standard_library_is_whole() {
    let code = "
        import asyncio, bz2, ctypes, curses, dbm, decimal, hashlib, lzma, sqlite3, ssl, uuid, zoneinfo, zlib
        print(hashlib.sha256(b'').hexdigest()[:8], sqlite3.connect(':memory:').execute('select 1').fetchone()[0])
        print(zoneinfo.ZoneInfo('Europe/Berlin'), len(ssl.create_default_context().get_ca_certs()) > 50)
        print(asyncio.run(asyncio.sleep(0, 'slept')))
    ";
    prints(code, "e3b0c442 1\nEurope/Berlin True\nslept\n");
}

/// proves: process namespace network
#[test]
fn there_is_no_network_and_python_says_so_at_once() {
    let code = "
        import socket, time, urllib.request
        for attempt in (lambda: urllib.request.urlopen('http://192.0.2.1/', timeout=30),
                        lambda: socket.getaddrinfo('example.org', 80),
                        lambda: socket.create_connection(('192.0.2.1', 80), 30)):
            started = time.monotonic()
            try:
                attempt()
                print('reached')
            except OSError as refusal:
                print(time.monotonic() - started < 1)
    ";
    prints(code, "True\nTrue\nTrue\n");
}

#[test]
fn servers_and_clients_inside_one_run_find_each_other() {
    let code = "
        import socket
        with socket.create_server(('localhost', 0)) as server:
            with socket.create_connection(('localhost', server.getsockname()[1])) as client:
                peer, _ = server.accept()
                peer.sendall(b'hello')
                print(client.recv(10))
    ";
    prints(code, "b'hello'\n");
}

#[test]
fn a_run_that_prints_nothing_gets_a_hint() {
    let answer = run(shared().address, "x = 1").expect("ok");
    let hints = answer.result()["hints"].as_array().expect("hints").clone();
    // Besides what is said of this host, which a run that prints is told too.
    let printed = run(shared().address, "print(1)").expect("ok");
    let of_host = printed.result()["hints"].as_array().expect("hints").clone();
    let more: Vec<_> = hints.iter().filter(|hint| !of_host.contains(hint)).collect();
    assert_eq!(more.len(), 1, "{hints:?}");
    assert_eq!(more[0]["kind"], "no_output");
}

/// Each really happens: Python itself has nothing to say of them.
#[test]
fn a_crash_of_native_code_gets_the_one_hint_of_its_signal() {
    let recursion = "
        import sys, threading
        sys.setrecursionlimit(10**9)
        class Deep:
            def __getattr__(self, name):
                return getattr(self, name + 'x' if len(name) < 2 else name)
            def __repr__(self):
                return repr(self)
        repr(Deep())
    ";
    let mapped = "
        import mmap
        with open('mapped', 'w+b') as file:
            file.truncate(8192)
            memory = mmap.mmap(file.fileno(), 8192)
            file.truncate(0)
            memory[0]
    ";
    for (code, signal, words) in [
        ("import ctypes\nctypes.string_at(1)", "SIGSEGV", "faulthandler"),
        (recursion, "SIGSEGV", "Write recursion as a loop"),
        (mapped, "SIGBUS", "while it is mapped"),
        ("import os\nos.abort()", "SIGABRT", "the end of stderr"),
        ("import os\nos.kill(os.getpid(), 4)", "SIGILL", "plain Python"),
        ("import os\nos.kill(os.getpid(), 8)", "SIGFPE", "Check divisors"),
    ] {
        let answer = run(shared().address, code).expect("error");
        assert_eq!(answer.result()["signal"], signal, "{:#}", answer.result());
        let hints = answer.result()["hints"].as_array().expect("hints").clone();
        let crashes: Vec<_> = hints.iter().filter(|hint| hint["kind"] == "crash").collect();
        assert_eq!(crashes.len(), 1, "{hints:?}");
        assert!(crashes[0]["suggestion"].as_str().expect("text").contains(words), "{hints:?}");
        assert!(!answer.has_hint("no_output"), "{hints:?}");
    }
}

#[test]
fn one_print_is_quick() {
    let asked = Instant::now();
    prints("print(1)", "1\n");
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
}
