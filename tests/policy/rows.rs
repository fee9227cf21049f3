//! The table of calls to try, derived from the rules of a filter: for each condition arguments that
//! satisfy all of the line and arguments that break this one alone, each refused call, each plain
//! one, calls that no rule names, and numbers that are no calls.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use primcs::policy::seccomp::{Allow, Argument, Call, Clause, Errno, Test, Width};
use primcs::policy::{Decision, Filter};

/// One call to try.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// The entry of the policy it tries.
    pub(crate) entry: String,
    pub(crate) call: String,
    pub(crate) number: u64,
    pub(crate) arguments: [u64; 6],
    /// The filter's errno; `None` where the call is allowed.
    pub(crate) refused: Option<u16>,
    /// One of each kind; the others are further values of the same kind.
    pub(crate) is_first: bool,
}

/// Every row of a filter, `fill` being the arguments that no rule looks at.
pub(crate) fn rows(file: &str, filter: &Filter, fill: fn(&str) -> [u64; 6]) -> Vec<Row> {
    let mut rows = Vec::new();
    for call in Call::all() {
        let table = Table { file, filter, call, fill: fill(call.name()) };
        for line in filter.allows(call) {
            table.allowed(line, &mut rows);
        }
        for _ in filter.denies(call) {
            rows.push(table.row(format!("{file} deny {call}"), table.fill, true));
        }
        let is_named = filter.allows(call).next().is_some() || filter.denies(call).next().is_some();
        if !is_named {
            rows.push(table.row(format!("{file} otherwise"), table.fill, false));
        }
    }
    let otherwise = Some(filter.otherwise.errno.number());
    let nobodys =
        [(600, "otherwise"), (999_999, "otherwise"), (X32 | 0x1, "x32"), (X32 | 0x27, "x32")];
    rows.extend(nobodys.map(|(number, entry)| Row {
        entry: format!("{file} {entry}"),
        call: format!("number {number:#x}"),
        number,
        arguments: [u64::MAX; 6],
        refused: otherwise,
        is_first: true,
    }));
    rows
}

const X32: u64 = 0x4000_0000;

struct Table<'a> {
    file: &'a str,
    filter: &'a Filter,
    call: Call,
    fill: [u64; 6],
}

impl Table<'_> {
    fn row(&self, entry: String, arguments: [u64; 6], is_first: bool) -> Row {
        let refused = match self.filter.decide(self.call, &arguments) {
            Decision::Allow => None,
            Decision::Errno(errno) => Some(errno.number()),
        };
        let number =
            self.call.number().and_then(|number| u64::try_from(number).ok()).expect("a number");
        Row { entry, call: self.call.name().to_owned(), number, arguments, refused, is_first }
    }

    fn allowed(&self, line: &Allow, rows: &mut Vec<Row>) {
        let entry = format!("{} allow {}", self.file, self.call);
        let mut base = self.fill;
        for clause in &line.when {
            set(&mut base, clause.argument, satisfying(line, clause.argument, &self.fill));
        }
        let row = self.row(entry.clone(), base, true);
        assert_eq!(row.refused, None, "{} with {base:x?}", self.call);
        rows.push(row);
        for clause in &line.when {
            let entry = format!("{entry} {}", clause.argument_name());
            let (mut broken, mut kept) = (0, 0);
            for value in values(clause, base[usize::from(clause.argument.index)]) {
                let mut arguments = base;
                set(&mut arguments, clause.argument, value);
                if !clause.holds(&arguments) {
                    self.break_other_lines(line, &mut arguments);
                }
                let row = self.row(entry.clone(), arguments, false);
                match row.refused {
                    None if line.when.iter().all(|one| one.holds(&arguments)) => kept += 1,
                    Some(_) if !clause.holds(&arguments) => {
                        assert_eq!(row.refused, line.otherwise.map(Errno::number));
                        broken += 1;
                    }
                    // Another line lets it through, or another condition breaks too.
                    None | Some(_) => continue,
                }
                let is_first = row.refused.is_some() && broken <= 2;
                rows.push(Row { is_first, ..row });
            }
            assert!(kept > 0, "{} has no allowed value for {clause}", self.call);
            assert!(broken > 0, "{} has no refused value for {clause}", self.call);
        }
    }

    /// Lines of one call add up, so what one refuses another may allow: breaks a condition of each
    /// other line on an argument that this line does not look at.
    fn break_other_lines(&self, line: &Allow, arguments: &mut [u64; 6]) {
        let is_ours = |clause: &Clause| line.when.iter().any(|own| own.argument == clause.argument);
        for other in self.filter.allows(self.call).filter(|other| *other != line) {
            let free = other.when.iter().filter(|clause| !is_ours(clause));
            for clause in free {
                let breaking = values(clause, 0).into_iter().find(|value| {
                    let mut tried = *arguments;
                    set(&mut tried, clause.argument, *value);
                    !clause.holds(&tried)
                });
                if let Some(value) = breaking {
                    set(arguments, clause.argument, value);
                }
            }
        }
    }
}

fn set(arguments: &mut [u64; 6], argument: Argument, value: u64) {
    arguments[usize::from(argument.index)] = value;
}

/// A value for which all conditions of the line on this argument hold: that of `fill`, or one near.
fn satisfying(line: &Allow, argument: Argument, fill: &[u64; 6]) -> u64 {
    let filled = fill[usize::from(argument.index)];
    let about = || line.when.iter().filter(|clause| clause.argument == argument);
    let near = about().flat_map(|clause| values(clause, filled));
    let found = [filled].into_iter().chain(near).find(|value| {
        let mut arguments = [0; 6];
        set(&mut arguments, argument, *value);
        about().all(|clause| clause.holds(&arguments))
    });
    found.unwrap_or_else(|| panic!("no value satisfies {:?}", about().collect::<Vec<_>>()))
}

/// The values that a condition names and many that it does not, each also with other bits in the
/// half that the kernel does not look at. `base` has the bits that other conditions want.
fn values(clause: &Clause, base: u64) -> Vec<u64> {
    let mut values = Vec::new();
    let bits = |all: u64| (0..64).map(|bit| 1 << bit).filter(move |bit: &u64| all & bit != 0);
    match &clause.test {
        Test::OneOf(named) | Test::NoneOf(named) => {
            values.extend(named);
            // Numbers of one kind lie together: what comes next is most likely a real one.
            let near = |value: &u64| value.saturating_sub(16)..=value.saturating_add(16);
            values.extend(named.iter().map(|value| value | 1 << 30));
            values.extend(named.iter().flat_map(near));
            values.extend(0..=130);
        }
        Test::HasNone(named) => {
            values.push(base & !named);
            values.extend(bits(*named).map(|bit| base | bit));
            values.push(base | named);
        }
        Test::HasAll(named) => {
            values.push(base | named);
            values.extend(bits(*named).map(|bit| (base | named) & !bit));
        }
    }
    let high = |value: &u64| match clause.argument.width {
        Width::Low32 => value | 0xdead_beef << 32,
        Width::All64 => value | 1 << 40,
    };
    let with_high: Vec<_> = values.iter().map(high).collect();
    let mut seen = BTreeSet::new();
    values.extend(with_high);
    values.retain(|value| seen.insert(*value));
    values
}
