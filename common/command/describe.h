// The tables of a program's options and commands as JSON. Its manual page and the completions of
// shells are made from that when the project is built (contrib/manual), so that they are what
// --help and `help` say.
//
// Pure functions.
#pragma once

#include "common/command/dispatcher.h"
#include "common/command/options.h"

namespace espalier::command {

// {"name", "summary", "examples", "notes", "argument": {"name", "help"}, "options": [{"flag",
// "value", "default", "help", "environment", "isPath", "optional", "offered"}], "commands":
// [{"name", "usage", "summary", "details", "aliases", "flags"}], "shorthands": {"-cn": "links
// --count"}}. An option without a variable of its own has no "environment".
Json described(const Program& program, const Dispatcher& dispatcher,
               const Dispatcher::Shorthands& shorthands = {});

}  // namespace espalier::command
