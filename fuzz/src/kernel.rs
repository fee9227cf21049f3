//! The kernel's side of a system-call filter, written down once more: an interpreter of the classic BPF
//! that seccomp accepts (linux/filter.h, linux/seccomp.h). It shares nothing with what compiles filters.
#![forbid(unsafe_code)]

use primcs::policy::Program;

/// What the programs together make of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is served.
    Allow,
    /// It fails with this error.
    Errno(u16),
    /// The process dies.
    Kill,
}

/// One call on x86-64.
#[must_use]
pub fn ask(programs: &[Program], number: i64, arguments: &[u64; 6]) -> Answer {
    const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
    let mut data = Vec::with_capacity(64);
    data.extend_from_slice(&(number as u32).to_ne_bytes());
    data.extend_from_slice(&AUDIT_ARCH_X86_64.to_ne_bytes());
    data.extend_from_slice(&0u64.to_ne_bytes());
    for argument in arguments {
        data.extend_from_slice(&argument.to_ne_bytes());
    }
    let mut answer = Answer::Allow;
    for program in programs {
        match (answer, run(program, &data)) {
            (Answer::Kill, _) | (_, Answer::Kill) => answer = Answer::Kill,
            (Answer::Errno(one), Answer::Errno(other)) => {
                panic!("two programs refuse call {number}: {one} and {other}");
            }
            (Answer::Allow, next) => answer = next,
            (Answer::Errno(_), Answer::Allow) => {}
        }
    }
    answer
}

fn run(program: &Program, data: &[u8]) -> Answer {
    let word = |at: u32| {
        let at = usize::try_from(at).expect("64 bits");
        let bytes = data.get(at..at + 4).expect("a load within the call's data");
        u32::from_ne_bytes(bytes.try_into().expect("four bytes"))
    };
    let (mut accumulator, mut at) = (0u32, 0usize);
    loop {
        let step = program.get(at).expect("a program ends with a return");
        at += 1;
        let jump = |taken: bool| usize::from(if taken { step.jt } else { step.jf });
        match step.code {
            // BPF_LD | BPF_W | BPF_ABS
            0x20 => accumulator = word(step.k),
            // BPF_ALU | BPF_AND | BPF_K
            0x54 => accumulator &= step.k,
            // BPF_JMP: JA, JEQ, JGT, JGE, JSET, each with BPF_K
            0x05 => at += usize::try_from(step.k).expect("64 bits"),
            0x15 => at += jump(accumulator == step.k),
            0x25 => at += jump(accumulator > step.k),
            0x35 => at += jump(accumulator >= step.k),
            0x45 => at += jump(accumulator & step.k != 0),
            // BPF_RET | BPF_K
            0x06 => return answer(step.k),
            other => panic!("an instruction that is not known here: {other:#x}"),
        }
    }
}

fn answer(value: u32) -> Answer {
    match value & 0xffff_0000 {
        0x7fff_0000 => Answer::Allow,
        0x0005_0000 => Answer::Errno((value & 0xffff) as u16),
        0x8000_0000 | 0 => Answer::Kill,
        other => panic!("an action that is not known here: {other:#x}"),
    }
}
