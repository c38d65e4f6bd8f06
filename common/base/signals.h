// Which signals a program may react to, and which a thread must not get. Used by the event loop and
// SignalWatch, and by threads that write with sendfile(2) or to files.
//
// A program may be started with some signals ignored (by nohup, or by a shell's `command &` in a
// script). Those stay ignored. They are not blocked either, because Linux queues a blocked signal
// for a signalfd even if it is ignored.
#pragma once

#include <signal.h>

#include <initializer_list>

namespace espalier {

// The members of `signals` that are not ignored, as a set to block and to read from a signalfd.
sigset_t signalsNotIgnored(std::initializer_list<int> signals);

// Blocks SIGPIPE (sendfile(2) has no MSG_NOSIGNAL) and SIGXFSZ in the calling thread, for good. The
// system call then fails with an errno instead.
class QuietSignals {
 public:
  QuietSignals();
};

}  // namespace espalier
