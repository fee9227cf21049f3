//! Programs that take whatever they can get.
#![forbid(unsafe_code)]

use super::scene::{explode, limits_are_tried, printed};
use super::support::mcp::run;
use super::support::server::shared;

const MIB: u64 = 1 << 20;

/// proves: limits pids.max; limits wall; neighbours load
#[test]
fn a_fork_bomb_ends_with_its_time() {
    if !limits_are_tried() {
        return;
    }
    let code = "
        import os
        print('armed', flush=True)
        while True:
            try:
                os.fork()
            except OSError:
                pass
    ";
    let answer = explode(code, 3, "timeout");
    assert!(answer.is_error());
    let (most, allowed) = (answer.number("/usage/pids_peak"), answer.number("/limits/pids"));
    assert!(most <= allowed, "{most} processes, {allowed} allowed");
    assert!(answer.has_hint("limit"), "{:#}", answer.message);
}

/// proves: limits memory.max; neighbours load
#[test]
fn memory_of_one_process_is_bounded() {
    if !limits_are_tried() {
        return;
    }
    let code = "
        print('armed', flush=True)
        kept = []
        while True:
            kept.append(b'x' * (8 << 20))
    ";
    let answer = explode(code, 60, "out_of_memory");
    assert!(answer.is_error());
    let (most, allowed) =
        (answer.number("/usage/memory_peak_bytes"), answer.number("/limits/memory_bytes"));
    assert!(most <= allowed, "{most} bytes, {allowed} allowed");
}

/// proves: limits memory.max; limits memory.oom.group
#[test]
fn memory_spread_over_children_is_bounded_together() {
    if !limits_are_tried() {
        return;
    }
    let code = "
        import os, time
        print('armed', flush=True)
        for n in range(30):
            if os.fork() == 0:
                kept = b'x' * (64 << 20)
                time.sleep(60)
                os._exit(0)
        time.sleep(60)
    ";
    let answer = explode(code, 60, "out_of_memory");
    assert!(answer.number("/usage/wall_ms") < 30_000, "it was ended, not timed out");
}

/// proves: limits tmpfs size
#[test]
fn the_disk_of_a_run_is_bounded() {
    let code = "
        import errno
        print('armed', flush=True)
        written = 0
        try:
            for n in range(2000):
                with open(f'/tmp/{n}', 'wb') as file:
                    written += file.write(b'x' * (1 << 20))
        except OSError as refusal:
            assert refusal.errno == errno.ENOSPC, refusal
        print(written)
    ";
    let answer = explode(code, 60, "ok");
    let (written, allowed) = (printed(&answer), answer.number("/limits/disk_bytes"));
    assert!(written <= allowed && written > allowed / 2, "{written} written, {allowed} allowed");
}

/// proves: limits tmpfs size
#[test]
fn disk_and_shared_memory_are_one_disk() {
    let code = "
        import errno
        print('armed', flush=True)
        written = 0
        for place in ('/tmp', '/dev/shm', '/workspace', '/workspace/output'):
            try:
                for n in range(2000):
                    with open(f'{place}/{n}', 'wb') as file:
                        written += file.write(b'x' * (1 << 20))
            except OSError as refusal:
                assert refusal.errno == errno.ENOSPC, refusal
        print(written)
    ";
    let answer = explode(code, 60, "ok");
    assert!(printed(&answer) <= answer.number("/limits/disk_bytes"));
}

/// proves: limits tmpfs `nr_inodes`
#[test]
fn the_inodes_of_a_run_are_bounded() {
    let code = "
        import errno, os
        print('armed', flush=True)
        made = 0
        try:
            while True:
                os.close(os.open(f'/tmp/{made}', os.O_CREAT | os.O_WRONLY))
                made += 1
        except OSError as refusal:
            assert refusal.errno == errno.ENOSPC, refusal
        print(made)
    ";
    let answer = explode(code, 60, "ok");
    let (made, allowed) = (printed(&answer), answer.number("/limits/disk_inodes"));
    assert!(made <= allowed && made > allowed / 2, "{made} files, {allowed} allowed");
}

#[test]
fn a_deep_tree_costs_nobody_afterwards() {
    let code = "
        import os
        print('armed', flush=True)
        for n in range(4000):
            os.mkdir('d')
            os.chdir('d')
        print(n + 1)
    ";
    assert_eq!(printed(&explode(code, 60, "ok")), 4000);
}

#[test]
fn pipe_buffers_are_bounded() {
    if !limits_are_tried() {
        return;
    }
    let code = "
        import fcntl, os
        print('armed', flush=True)
        queued, kept = 0, []
        for child in range(20):
            if os.fork():
                os.wait()
                continue
            held = 0
            try:
                while True:
                    read, write = os.pipe()
                    kept.append((read, write))
                    os.set_blocking(write, False)
                    try:
                        fcntl.fcntl(write, 1031, 1 << 20)
                    except OSError:
                        pass
                    try:
                        while True:
                            held += os.write(write, b'x' * 65536)
                    except BlockingIOError:
                        pass
            except OSError:
                pass
            os._exit(0)
        print(1)
    ";
    // Refused at some number of pipes, or ended by memory.max: both are bounds, and which comes
    // first is the kernel's choice of pipe-user-pages-soft.
    let answer = super::scene::explode_any(code, 60, &["ok", "out_of_memory"]);
    let (most, allowed) =
        (answer.number("/usage/memory_peak_bytes"), answer.number("/limits/memory_bytes"));
    assert!(most <= allowed, "{most} bytes, {allowed} allowed");
}

/// proves: limits pids.max
#[test]
fn threads_are_bounded() {
    if !limits_are_tried() {
        return;
    }
    let code = "
        import threading, time
        threading.stack_size(65536)
        print('armed', flush=True)
        started = 1
        try:
            while True:
                threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
                started += 1
        except RuntimeError:
            pass
        print(started)
    ";
    let answer = explode(code, 30, "ok");
    assert_eq!(printed(&answer), answer.number("/limits/pids"));
    assert!(answer.has_hint("limit"), "{:#}", answer.message);
}

/// proves: limits rlimit nofile
#[test]
fn descriptors_are_bounded() {
    let code = "
        import errno, os
        print('armed', flush=True)
        opened = 0
        try:
            while True:
                os.open('/dev/null', os.O_RDONLY)
                opened += 1
        except OSError as refusal:
            assert refusal.errno == errno.EMFILE, refusal
        print(opened)
    ";
    let answer = explode(code, 30, "ok");
    let (opened, allowed) = (printed(&answer), answer.number("/limits/open_files"));
    assert!(opened < allowed && opened > allowed - 20, "{opened} open, {allowed} allowed");
}

/// proves: limits sockets inet
#[test]
fn connections_that_nobody_accepts_are_bounded() {
    let code = "
        import socket
        print('armed', flush=True)
        listeners = []
        while True:
            listener = socket.socket()
            listener.bind(('127.0.0.1', 0))
            listener.listen(4096)
            listeners.append(listener)
            for _ in range(4000):
                client = socket.socket()
                client.setblocking(False)
                try:
                    client.connect(listener.getsockname())
                    while True:
                        client.send(b'x' * 65536)
                except OSError:
                    pass
                client.close()
    ";
    // The kernel charges the run with next to nothing of it, so the count is what ends it.
    let answer = explode(code, 60, "out_of_memory");
    assert!(answer.number("/usage/wall_ms") < 30_000, "{:#}", answer.message);
}

/// Record locks are kept whole, though what they can hold is bounded.
#[test]
fn a_database_of_several_processes_locks_as_it_should() {
    let code = "
        import os, sqlite3
        def add(times):
            base = sqlite3.connect('/tmp/base', timeout=50)
            for _ in range(times):
                base.execute('begin immediate')
                base.execute('update n set n = n + 1')
                base.commit()
        base = sqlite3.connect('/tmp/base')
        base.execute('create table n (n)')
        base.execute('insert into n values (0)')
        base.commit()
        base.close()
        children = []
        for _ in range(4):
            child = os.fork()
            if child == 0:
                add(20)
                os._exit(0)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
        print(sqlite3.connect('/tmp/base').execute('select n from n').fetchone()[0])
    ";
    assert_eq!(run(shared().address, code).stdout(), "80\n");
}

/// proves: limits memory.max
#[test]
fn socket_buffers_are_bounded() {
    if !limits_are_tried() {
        return;
    }
    let code = "
        import socket
        print('armed', flush=True)
        server = socket.create_server(('127.0.0.1', 0))
        kept, queued = [], 0
        try:
            while True:
                one = socket.create_connection(server.getsockname())
                other, _ = server.accept()
                kept += [one, other]
                for end in (one, other):
                    end.settimeout(0.01)
                    try:
                        while True:
                            queued += end.send(b'x' * 262144)
                    except TimeoutError:
                        pass
        except OSError:
            pass
        print(queued)
    ";
    // Beyond the bound of v1 the kernel makes sockets so small that filling them takes the time.
    let answer = super::scene::explode_any(code, 20, &["ok", "out_of_memory", "timeout"]);
    if answer.status() == "ok" {
        assert!(printed(&answer) < 1024 * MIB, "{:#}", answer.message);
    }
    let (most, allowed) =
        (answer.number("/usage/memory_peak_bytes"), answer.number("/limits/memory_bytes"));
    assert!(most <= allowed, "{most} bytes, {allowed} allowed");
}

/// proves: limits cpu.max
#[test]
fn four_busy_processes_get_one_core() {
    if !limits_are_tried() {
        return;
    }
    let code = "
        import os, time
        print('armed', flush=True)
        for n in range(3):
            if os.fork() == 0:
                break
        until = time.monotonic() + 3
        while time.monotonic() < until:
            pass
    ";
    let answer = explode(code, 30, "ok");
    let (cpu, wall) = (answer.number("/usage/cpu_ms"), answer.number("/usage/wall_ms"));
    assert!(cpu <= wall + wall / 5, "{cpu} ms of CPU in {wall} ms");
}
