// Which signals a program may react to, and which a thread must not get.
//
// The program may have been started with some signals ignored (by nohup, or by a shell's
// `command &` in a script). Those stay ignored: they are not blocked either, because Linux would
// queue a blocked one for a signalfd.
#pragma once

#include <signal.h>

#include <initializer_list>

namespace espalier {

// Those of `signals` that are not ignored, as a set to block and to read from a signalfd.
sigset_t signalsNotIgnored(std::initializer_list<int> signals);

// Blocks SIGPIPE (sendfile(2) has no MSG_NOSIGNAL) and SIGXFSZ for the rest of the life of the
// thread that makes one: the system call then fails with an errno instead.
class QuietSignals {
 public:
  QuietSignals();
};

}  // namespace espalier
