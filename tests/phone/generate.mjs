// Writes src/core/match_phone_table.c from libphonenumber's metadata as libphonenumber-js carries
// it. The version in package.json holds the data of libphonenumber 8.12.57, which is that of
// Debian 12 and so what the tests compare with.
//
//     make -f Makefile.apxs phone-table

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const metadata = require("libphonenumber-js/metadata.min.json");
const { version } = JSON.parse(
    readFileSync(new URL("node_modules/libphonenumber-js/package.json", import.meta.url)));

// Places in the array that describes a region.
const CODE = 0, EXIT = 1, NATIONAL = 2, LENGTHS = 3, PREFIX = 5, TRUNK = 7, TRANSFORM = 8;
const LONGEST = 17;

// Into the language of capi_phone_match(), which knows no more than this.
function pattern(source) {
    const open = [];
    const out = source.replace(/\(\?:|\\d|[()]|\[[-\d]+\]|\{\d+(?:,\d+)?\}|[?|$\d]|./g, (token) => {
        switch (token) {
        case "(?:": open.push(")"); return "(";
        case "(": open.push(">"); return "<";
        case ")": return open.pop();
        case "\\d": return "d";
        }
        if (!/^(\[[-\d]+\]|\{.+\}|[?|$\d])$/.test(token)) {
            throw new Error(`${source}: the matcher does not know ${token}`);
        }
        return token;
    });
    if (out.split("<").length > 3) {
        throw new Error(`${source}: more groups than CAPI_PHONE_GROUPS`);
    }
    return out;
}

const quote = (text) => text ? `"${text}"` : "NULL";

function row(region, plan) {
    const lengths = plan[LENGTHS].reduce((bits, n) => {
        if (n > LONGEST) {
            throw new Error(`${region}: ${n} digits`);
        }
        return bits | 1 << n;
    }, 0);
    const trunk = plan[TRUNK] || plan[PREFIX];
    return [quote(region.toLowerCase()) === "NULL" ? '""' : quote(region.toLowerCase()),
        plan[CODE], "0x" + lengths.toString(16), quote(plan[EXIT] && pattern(plan[EXIT])),
        quote(trunk && pattern(trunk)), quote(plan[TRANSFORM]),
        quote(pattern(plan[NATIONAL]))];
}

const rows = [];
const codes = new Set([...Object.keys(metadata.country_calling_codes),
    ...Object.keys(metadata.nonGeographic)]);
for (const code of [...codes].sort((a, b) => a - b)) {
    for (const region of metadata.country_calling_codes[code] ?? []) {
        rows.push(row(region, metadata.countries[region]));
    }
    if (metadata.nonGeographic[code]) {
        rows.push(row("", metadata.nonGeographic[code]));
    }
}

process.stdout.write(`/* Numbering plans of the world: made by tests/phone/generate.mjs from libphonenumber's metadata
 * (Apache License 2.0) in libphonenumber-js ${version}. Not written by hand. */

/* clang-format off */

#include "match_phone_int.h"

const capi_phone_plan_t capi_phone_plans[] = {
${rows.map((cells) => `    {${cells.join(", ")}},\n`).join("")}    {"", 0, 0, NULL, NULL, NULL, NULL},
};
`);
