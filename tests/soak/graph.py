#!/usr/bin/env python3
"""Draws the counts of a soak: graph.py soak.csv soak.svg. Standard library only."""

import csv
import html
import sys

PANELS = [
    ("live: processes, control groups of runs, network namespaces",
     ["processes", "control_groups", "network_namespaces"]),
    ("descriptors", ["descriptors_server", "descriptors_supervisor", "descriptors_nursery"]),
    ("mounts", ["mounts_host", "mounts_supervisor", "mounts_nursery"]),
    ("memory, KiB (PSS)",
     ["memory_server_kib", "memory_supervisor_kib", "memory_nursery_kib"]),
    ("in the kernel, whole host: network namespaces, sockets",
     ["kernel_network_namespaces", "sockets"]),
]
COLOURS = ["#0b6e99", "#c4551c", "#5a7d2a"]
WIDTH, HEIGHT, LEFT, TOP, GAP = 900, 150, 70, 50, 60
MOST_POINTS = 450


def main(source, target):
    with open(source, newline="") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    last = rows[-1]
    most_runs = max(row["runs"] for row in rows) or 1
    # Of each stretch the highest, so that no peak is lost.
    stretch = -(-len(rows) // MOST_POINTS)
    total = TOP + len(PANELS) * (HEIGHT + GAP)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + LEFT + 40} {total}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="24" font-size="16">{int(last["runs"])} runs in '
        f'{last["seconds"]:.0f} s, sixteen at a time; the last point is after the last run</text>',
    ]
    for number, (title, names) in enumerate(PANELS):
        top = TOP + number * (HEIGHT + GAP) + 14
        highest = max(row[name] for row in rows for name in names) or 1
        out.append(f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" '
                   'stroke="#bbb"/>')
        out.append(f'<text x="{LEFT - 6}" y="{top + 10}" text-anchor="end">{highest:.0f}</text>')
        out.append(f'<text x="{LEFT - 6}" y="{top + HEIGHT}" text-anchor="end">0</text>')
        legend = [f'<tspan>{html.escape(title)}; at the end:</tspan>']
        for name, colour in zip(names, COLOURS):
            points = []
            for begin in range(0, len(rows), stretch):
                part = rows[begin:begin + stretch]
                x = LEFT + WIDTH * part[-1]["runs"] / most_runs
                y = top + HEIGHT * (1 - max(row[name] for row in part) / highest)
                points.append(f"{x:.1f},{y:.1f}")
            points.append(f"{LEFT + WIDTH},{top + HEIGHT * (1 - last[name] / highest):.1f}")
            out.append(f'<polyline fill="none" stroke="{colour}" points="{" ".join(points)}"/>')
            legend.append(f'<tspan dx="12" fill="{colour}">{name} {last[name]:.0f}</tspan>')
        out.append(f'<text x="{LEFT}" y="{top - 5}">{"".join(legend)}</text>')
        out.append(f'<text x="{LEFT + WIDTH}" y="{top + HEIGHT + 14}" text-anchor="end">'
                   f'{most_runs:.0f} runs</text>')
    out.append("</svg>")
    with open(target, "w") as file:
        file.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
