// Which signals a program may react to. Whoever started it may have had some of them ignored
// (nohup, a shell's `command &` in a script): those stay ignored, also when they are blocked, where
// Linux would else queue them for a signalfd.
#pragma once

#include <signal.h>

#include <initializer_list>

namespace espalier {

// Those of `signals` that are not ignored, as a set to block and to read from a signalfd.
sigset_t signalsNotIgnored(std::initializer_list<int> signals);

}  // namespace espalier
